"""Foreign text on a terminal: escaped, so that it cannot move the cursor or reverse the line.

File names, answers of servers and models, values of options: all output goes through `show`,
`show_data`, `json_line` or `PrintableFormatter`. A test checks that nothing else prints.

Messages are in the language that is spoken: the command line says by `wording` how they are
translated. Data are not.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

_UNSAFE: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters with ESC and CR, without tab and newline
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction marks
    "\u2028\u2029"  # line ends that only some programs recognise
    "\ud800-\udfff"  # surrogates: a file name that is not UTF-8, a torn answer
    "]"
)


def printable(text: str) -> str:
    r"""Escape the characters that a terminal would execute instead of showing.

    Tabs and newlines are kept.

        >>> printable("BBU\x1b[2J")
        'BBU\\x1b[2J'
    """
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    number = ord(match[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def on_one_line(text: str) -> str:
    r"""Escape the newlines of a one-line message: names may hold them.

    A name could otherwise begin a line that looks like one of the program's own.

        >>> on_one_line("group a\nb: no photo")
        'group a\\nb: no photo'
    """
    return text.replace("\n", "\\n")


_wordings: list[Callable[[str], str]] = [str]


def worded(message: str) -> str:
    """Give a message in the language that is spoken: as it is, where nobody translates."""
    return _wordings[-1](message)


@contextmanager
def wording(translate: Callable[[str], str]) -> Iterator[None]:
    """Have messages translated meanwhile, in all threads of the process.

    >>> with wording(str.upper):
    ...     show("no such file")
    NO SUCH FILE
    """
    _wordings.append(translate)
    try:
        yield
    finally:
        _wordings.remove(translate)


def show(message: object = "", *, end: str = "\n", file: TextIO | None = None) -> None:
    """Print a message in the language that is spoken, escaped, and flush; to stdout by default."""
    show_data(worded(str(message)), end=end, file=file)


def show_data(text: object = "", *, end: str = "\n", file: TextIO | None = None) -> None:
    """Print a text that is no message: an answer, a row, a path. It is escaped, as all are."""
    print(printable(str(text)), end=end, file=file, flush=True)


def json_line(value: object, indent: int | None = None) -> str:
    r"""Write JSON that is safe on a terminal, with JSON's own escapes.

    >>> json_line({"name": "标签\u202e"})
    '{"name": "标签\\u202e"}'
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


class PrintableFormatter(logging.Formatter):
    """Formats log records for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record in the language that is spoken, and escape it."""
        return printable(worded(super().format(record)))
