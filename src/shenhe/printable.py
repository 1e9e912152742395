"""Foreign text on a terminal: what could move the cursor or turn the line round is spelled out."""

from __future__ import annotations

import re
from typing import Final

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
