"""The tokens of JSON as models write it: also in single quotes, with full-width punctuation, cut.

One pass, linear in the length of the text, whatever the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "number", "mark", "other", "cut"]
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
LONGEST_NUMBER = 12
"""Characters; a longer number is text: no coordinate is written so."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `value` is the string, the number or the mark; `cut` is a string without end."""

    kind: Kind
    value: str | int | float
    start: int
    end: int
    oddity: str = ""
    """How it departs from JSON: single_quotes, control_characters or full_width_punctuation."""

    def is_mark(self, marks: str) -> bool:
        """Whether this is one of some brackets, commas or colons, and no string that holds one."""
        return self.kind == "mark" and str(self.value) in marks


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of a text; after a string that never ends there is nothing to tell."""
    for found in _TOKEN.finditer(text, start):
        kind, piece = found.lastgroup, found[0]
        at, end = found.span()
        if kind == "string":
            string = _unescaped(piece)
            if string is None:
                yield Token("other", piece, at, end)
            else:
                yield Token("string", string, at, end, _oddity(piece))
        elif kind == "number":
            yield _number(piece, at, end)
        elif kind == "mark":
            half = _HALF_WIDTH.get(piece)
            yield Token("mark", half or piece, at, end, "full_width_punctuation" if half else "")
        elif kind == "quote":
            yield Token("cut", text[at:], at, len(text))
            return
        elif kind == "other":
            yield Token("other", piece, at, end)


def _oddity(piece: str) -> str:
    if piece[0] == "'":
        return "single_quotes"
    return "control_characters" if any(character < " " for character in piece) else ""


def _number(piece: str, at: int, end: int) -> Token:
    if len(piece) > LONGEST_NUMBER:
        return Token("other", piece, at, end)
    value = float(piece)
    return Token("number", value if set(piece) & set(".eE") else int(piece), at, end)


def _unescaped(piece: str) -> str | None:
    body = piece[1:-1]
    if piece[0] == "'":
        body = body.replace("\\'", "'").replace('"', '\\"')
    try:
        value = json.loads(f'"{body}"', strict=False)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
