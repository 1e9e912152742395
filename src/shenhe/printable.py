"""Foreign text on a terminal: what could move the cursor or turn the line round is spelled out.

Names of files, what a server or a model says, values of options: whatever is shown goes through
`show`, `json_line` or `PrintableFormatter`. A test holds that nothing else prints.
"""

from __future__ import annotations

import json
import logging
import re
from typing import Any, Final, TextIO

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, ESC and CR among them; tabs and line ends stay
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of writing
    "\u2028\u2029"  # line ends that only some programs know
    "\ud800-\udfff"  # half a character: a file name that is not UTF-8, a torn answer
    "]"
)


def printable(text: str) -> str:
    r"""Spell out what a terminal would obey instead of showing.

    Tabs and line ends stay; everything else that is no visible character becomes its escape.

        >>> printable("BBU\x1b[2J")
        'BBU\\x1b[2J'
    """
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def on_one_line(text: str) -> str:
    r"""Spell out the line ends of a message that is one line: names may hold them.

    A name could else begin a line of its own that looks like one of ours.

        >>> on_one_line("group a\nb: no photo")
        'group a\\nb: no photo'
    """
    return text.replace("\n", "\\n")


def show(text: object = "", *, end: str = "\n", file: TextIO | None = None) -> None:
    """Print a text so that no terminal obeys it, at once; on stdout where no file is named."""
    print(printable(str(text)), end=end, file=file, flush=True)


def json_line(value: Any, indent: int | None = None) -> str:
    r"""Write JSON that a terminal may show: what it would obey is escaped as JSON has it.

    >>> json_line({"name": "标签\u202e"})
    '{"name": "标签\\u202e"}'
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class PrintableFormatter(logging.Formatter):
    """Formats log records for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, spelling out what a terminal would obey."""
        return printable(super().format(record))
