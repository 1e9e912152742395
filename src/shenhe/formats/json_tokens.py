"""Tokens of JSON as models write it: also single-quoted, with full-width punctuation, or cut.

One pass, linear in the length of any text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TokenKind = Literal["string", "number", "mark", "other", "cut"]
Oddity = Literal["single_quotes", "control_characters", "full_width_punctuation"]
"""How a token departs from JSON."""
_TOKEN = re.compile(
    r"""\s++
    | (?P<string> "[^"\\]*+ (?:\\.[^"\\]*+)*+ " | '[^'\\]*+ (?:\\.[^'\\]*+)*+ ')
    | (?P<number> -?[0-9]++ (?:\.[0-9]++)?+ (?:[eE][+-]?[0-9]++)?+ )
    | (?P<mark> [{}\[\]:,：，] )
    | (?P<quote> ["'] )
    | (?P<other> [^\s{}\[\]:,：，"'0-9-]++ | - )
    """,
    re.VERBOSE | re.DOTALL,
)
_HALF_WIDTH = {"：": ":", "，": ","}
MAX_NUMBER_LENGTH = 12
"""Characters of a number; a longer one is no coordinate and counts as text."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `value` is the string, the number or the mark, `cut` a string without an end."""

    kind: TokenKind
    value: str | int | float
    start: int
    end: int
    oddity: Oddity | None = None

    def is_mark(self, marks: str) -> bool:
        """Whether this is one of the given brackets, commas or colons, outside a string."""
        return self.kind == "mark" and str(self.value) in marks


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of a text from an index on; a string without an end is the last one."""
    for match in _TOKEN.finditer(text, start):
        kind, piece = match.lastgroup, match[0]
        begin, end = match.span()
        if kind == "string":
            string = _unescape(piece)
            if string is None:
                yield Token("other", piece, begin, end)
            else:
                yield Token("string", string, begin, end, _string_oddity(piece))
        elif kind == "number":
            yield _number(piece, begin, end)
        elif kind == "mark":
            half = _HALF_WIDTH.get(piece)
            oddity: Oddity | None = "full_width_punctuation" if half else None
            yield Token("mark", half or piece, begin, end, oddity)
        elif kind == "quote":
            yield Token("cut", text[begin:], begin, len(text))
            return
        elif kind == "other":
            yield Token("other", piece, begin, end)


def _string_oddity(piece: str) -> Oddity | None:
    if piece[0] == "'":
        return "single_quotes"
    return "control_characters" if any(character < " " for character in piece) else None


def _number(piece: str, begin: int, end: int) -> Token:
    if len(piece) > MAX_NUMBER_LENGTH:
        return Token("other", piece, begin, end)
    value = float(piece)
    return Token("number", value if set(piece) & set(".eE") else int(piece), begin, end)


def _unescape(piece: str) -> str | None:
    body = piece[1:-1]
    if piece[0] == "'":
        body = body.replace("\\'", "'").replace('"', '\\"')
    try:
        value = json.loads(f'"{body}"', strict=False)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
