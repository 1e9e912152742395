"""Sets of characters, as regular expressions and GBNF write them in brackets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

LAST: Final = 0x10FFFF
_SHORT: Final = {ord("\n"): r"\n", ord("\r"): r"\r", ord("\t"): r"\t"}
_ESCAPED: Final = frozenset(map(ord, '\\]["^-'))


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """A set of code points, as ascending intervals that do not touch."""

    intervals: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, intervals: Iterable[tuple[int, int]]) -> CharacterSet:
        """Join intervals, in any order.

        >>> CharacterSet.of([(48, 52), (53, 57)]).intervals
        ((48, 57),)
        """
        joined: list[tuple[int, int]] = []
        for low, high in sorted(intervals):
            if joined and low <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
            else:
                joined.append((low, high))
        return cls(tuple(joined))

    def __invert__(self) -> CharacterSet:
        """Give every other character."""
        return CharacterSet(tuple(self._gaps()))

    def __and__(self, other: CharacterSet) -> CharacterSet:
        """Give the characters of both sets."""
        return ~CharacterSet.of([*(~self).intervals, *(~other).intervals])

    def __bool__(self) -> bool:
        """Whether there is a character in it."""
        return bool(self.intervals)

    def __str__(self) -> str:
        r"""Write the set in brackets, in the shorter way.

        >>> str(CharacterSet.of([(0, 33), (35, LAST)]))
        '[^\\"]'
        """
        gaps = list(self._gaps())
        if self.intervals and self.intervals[-1][1] == LAST and gaps:
            return f"[^{_inside(gaps)}]"
        return f"[{_inside(self.intervals)}]"

    def _gaps(self) -> Iterator[tuple[int, int]]:
        start = 0
        for low, high in self.intervals:
            if low > start:
                yield start, low - 1
            start = high + 1
        if start <= LAST:
            yield start, LAST


ANY_IN_LINE: Final = ~CharacterSet(((10, 10),))
"""What a dot matches."""


def written(code: int) -> str:
    r"""Write a character so that it means itself, within brackets and within quotes.

    >>> written(ord("通")), written(10), written(0x2028), written(ord("]"))
    ('通', '\\n', '\\u2028', '\\]')
    """
    if code in _SHORT:
        return _SHORT[code]
    if code in _ESCAPED:
        # Only brackets, quotes and backslashes have escapes of their own.
        return f"\\{chr(code)}" if chr(code) in '\\]["' else f"\\x{code:02X}"
    if code > 0xFFFF:
        return f"\\U{code:08X}"
    if chr(code).isprintable():
        return chr(code)
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}"


def _inside(intervals: Iterable[tuple[int, int]]) -> str:
    return "".join(
        written(low) if low == high else f"{written(low)}-{written(high)}"
        for low, high in intervals
    )
