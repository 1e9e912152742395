"""Regular expressions without look-around, written as GBNF."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from shenhe.formats.character_sets import ANY_IN_LINE, CharacterSet, written

MAX_REPEATED = 16
"""Repetitions of a group up to which it is written in place; llama.cpp bounds their product."""
_CLASSES: Final = {
    "d": CharacterSet.of([(48, 57)]),
    "s": CharacterSet.of([(9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x3000, 0x3000)]),
}
_CONTROLS: Final = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11}
_HEX: Final = {"x": 2, "u": 4, "U": 8}
_COUNT: Final = re.compile(r"\{([0-9]+)(,?)([0-9]*)\}")
_BRACED: Final = re.compile(r"\{([0-9a-fA-F]{1,6})\}")


class NotConvertibleError(ValueError):
    """A grammar that GBNF, or this converter, cannot say."""


class RegexReader:
    """Reads one regular expression.

    Every set and every character is narrowed to `within`. `hoist` makes a rule of a group, and
    returns its name.
    """

    def __init__(
        self, source: str, hoist: Callable[[str], str], within: CharacterSet | None = None
    ) -> None:
        self._source, self._hoist, self._within = source, hoist, within
        self._at = 0

    def read(self) -> str:
        """Write the whole expression as GBNF.

        Raises: NotConvertibleError.
        """
        text = self._alternatives()
        if self._at < len(self._source):
            raise self._problem("a bracket that was not opened")
        return text

    def first_set(self) -> CharacterSet:
        """Read the set at the start of `SET*`, `(SET|...)*`, as it is.

        Raises: NotConvertibleError if it starts otherwise.
        """
        self._at = len(self._source) - len(self._source.lstrip("("))
        if not self._source.startswith("[", self._at) or not self._source.endswith("*"):
            raise self._problem("an intersection with this")
        return self._set()

    def _alternatives(self) -> str:
        branches = [self._branch()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._branch())
        return " | ".join(branches)

    def _branch(self) -> str:
        """Read a branch; characters in a row are one literal."""
        parts: list[str] = []
        while self._peek() not in ("", "|", ")"):
            part = self._atom()
            count = self._count()
            if count and not part.startswith("[") and _bound(count) > MAX_REPEATED:
                part = self._hoist(part)
            if parts and not count and part[0] == '"' == parts[-1][-1]:
                parts[-1] = parts[-1][:-1] + part[1:]
            else:
                parts.append(part + count)
        return " ".join(parts)

    def _atom(self) -> str:
        character = self._peek()
        if character == "(":
            self._at += 1
            if self._source.startswith("?:", self._at):
                self._at += 2
            elif self._peek() == "?":
                raise self._problem("a group of this kind")
            inside = self._alternatives()
            if self._peek() != ")":
                raise self._problem("a bracket that is not closed")
            self._at += 1
            return f"({inside})"
        if character == "[":
            return self._narrow(self._set())
        if character == ".":
            self._at += 1
            return self._narrow(ANY_IN_LINE)
        if character in "*+?^$":
            raise self._problem(f"{character} here")
        if character == "\\" and self._source[self._at + 1 : self._at + 2] in _CLASSES:
            self._at += 2
            return self._narrow(_CLASSES[self._source[self._at - 1]])
        code = self._character()
        one = CharacterSet(((code, code),))
        self._narrow(one)
        return f'"{written(code)}"'

    def _count(self) -> str:
        """Read what stands behind an atom, as it is written in GBNF too."""
        count = self._peek()
        if count == "{" and (match := _COUNT.match(self._source, self._at)):
            self._at = match.end()
            count = match[0]
        elif count and count in "*+?":
            self._at += 1
        else:
            return ""
        if self._peek() == "+":
            raise self._problem("possessive repetition")
        if self._peek() == "?":  # lazy: the same texts match
            self._at += 1
        return count

    def _set(self) -> CharacterSet:
        self._at += 1
        negated = self._peek() == "^"
        self._at += negated
        intervals: list[tuple[int, int]] = []
        start = self._at
        while self._peek() != "]" or self._at == start:
            if not self._peek():
                raise self._problem("a set that is not closed")
            following = self._source[self._at : self._at + 2]
            if following[:1] == "\\" and following[1:] in _CLASSES:
                self._at += 2
                intervals += _CLASSES[following[1:]].intervals
                continue
            if following in ("[:", "&&", "[["):
                raise self._problem("a set of this kind")
            low = high = self._character()
            if self._peek() == "-" and self._source[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._character()
            intervals.append((low, high))
        self._at += 1
        characters = CharacterSet.of(intervals)
        return ~characters if negated else characters

    def _character(self) -> int:
        """Read one character, which may be escaped."""
        character = self._peek()
        self._at += 1
        if character != "\\":
            return ord(character)
        escape = self._peek()
        self._at += 1
        if escape in _CONTROLS:
            return _CONTROLS[escape]
        if escape in _HEX:
            if match := _BRACED.match(self._source, self._at):
                self._at = match.end()
                return int(match[1], 16)
            digits = self._source[self._at : self._at + _HEX[escape]]
            self._at += len(digits)
            try:
                return int(digits, 16)
            except ValueError:
                raise self._problem(rf"\{escape}{digits}") from None
        if not escape or escape.isalnum():
            raise self._problem(rf"\{escape}")
        return ord(escape)

    def _narrow(self, characters: CharacterSet) -> str:
        narrowed = characters & self._within if self._within is not None else characters
        if not narrowed:
            raise self._problem("a character that may not stand here")
        return str(narrowed)

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _problem(self, what: str) -> NotConvertibleError:
        start = self._source[: self._at + 10][-40:]
        return NotConvertibleError(f"llama.cpp's grammars cannot say this: {what}, in {start!r}")


def _bound(count: str) -> int:
    """Return the largest number of repetitions of a count; none or one for `*`, `+`, `?`."""
    return max((int(number) for number in re.findall("[0-9]+", count)), default=1)
