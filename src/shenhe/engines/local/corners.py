"""Corners are held while they are written: no box is inverted, no polygon crosses itself.

A grammar cannot require either. Digits are refused after which a box could only be inverted, or
from which no way was found to end a polygon whose sides nowhere touch. Where a polygon begins and
which way round it goes is left to the model, since the parser puts that right.

Not every polygon can be written: behind each beginning, from the third corner on, a way back must
be found by one further corner, beside the sides so far, or along the way that was found before.
That fails for some polygons of dozens of corners, and for narrow spirals whose count stands first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from shenhe.engines.local.open_corners import Span, open_corners
from shenhe.engines.local.simple_polygon import Corner, extends
from shenhe.engines.local.ways_back import Ending, complete
from shenhe.geometry import MAX_CORNERS, MIN_CORNERS

_OPENING = re.compile(r'(?:"poly_points": ?(?P<count>[0-9]+), ?)?"(?P<key>bbox_2d|quad|poly)": ?\[')
_MAX_OPENING = 64
"""Longest text of an opening. Units: characters."""
_MAX_TRIED = {False: 32, True: 8}
"""Corners that a search looks at before digits are refused, by whether it is thorough."""
_FREE_CORNERS = 2
"""The first corners may lie anywhere, each on its own: a polygon can always be made of two."""


class _Numbers(NamedTuple):
    """The numbers of an open shape: whole ones, the digits of the next, whether it is closed."""

    whole: tuple[int, ...]
    digits: str
    closed: bool

    @classmethod
    def of(cls, text: str) -> _Numbers:
        """Read the text behind the opening bracket."""
        inside, bracket, _ = text.partition("]")
        *whole, digits = (number.strip() for number in inside.split(","))
        if bracket:
            return cls((*map(int, whole), int(digits)), "", closed=True)
        return cls(tuple(map(int, whole)), digits, closed=False)

    def begin(self, numbers: list[int]) -> bool:
        """Whether other numbers continue these."""
        length = len(self.whole)
        if tuple(numbers[:length]) != self.whole or self.closed:
            return numbers == list(self.whole)
        return len(numbers) > length and str(numbers[length]).startswith(self.digits)


class Corners:
    """Follows an answer, and refuses digits that leave no sound box or polygon."""

    def __init__(self, highest: int) -> None:
        self._highest = highest
        self._tail = ""
        """The end of the text outside shapes."""
        self._shape: _Box | _Polygon | None = None

    @property
    def in_shape(self) -> bool:
        """Whether the answer ends inside a box or a polygon."""
        return self._shape is not None

    def advance(self, text: str) -> None:
        """Append text to the answer."""
        while text:
            if self._shape is not None:
                inside, bracket, text = text.partition("]")
                self._shape.advance(inside + bracket)
                if bracket:
                    self._shape = None
                continue
            self._tail += text
            if (opening := _OPENING.search(self._tail)) is None:
                self._tail = self._tail[-_MAX_OPENING:]
                return
            self._shape = self._open(opening)
            text, self._tail = self._tail[opening.end() :], ""

    def allows(self, text: str) -> bool:
        """Whether the open shape can still become sound with this text next."""
        return self._shape is None or self._shape.allows(text)

    def _open(self, opening: re.Match[str]) -> _Box | _Polygon:
        if opening["key"] == "bbox_2d":
            return _Box(self._highest)
        count = 4 if opening["key"] == "quad" else int(opening["count"] or 0)
        return _Polygon(self._highest, count)


class _Box:
    """The numbers of a box: the third is above the first, the fourth above the second."""

    def __init__(self, highest: int) -> None:
        self._highest, self._text = highest, ""

    def advance(self, text: str) -> None:
        self._text += text

    def allows(self, text: str) -> bool:
        numbers = _Numbers.of(self._text + text)
        spans = list(map(self._span, range(4), [0, 0, *numbers.whole]))
        return all(
            low <= number <= high for number, (low, high) in zip(numbers.whole, spans, strict=False)
        ) and (
            not numbers.digits
            or any(
                low <= spans[len(numbers.whole)][1] and high >= spans[len(numbers.whole)][0]
                for low, high in _spans(numbers.digits, self._highest)
            )
        )

    def _span(self, index: int, opposite: int) -> Span:
        return (0, self._highest - 1) if index < 2 else (opposite + 1, self._highest)


class _Polygon:
    """The corners of a polygon; `count` is their number, 0 if that is not known.

    Digits that continue the last way of ending that was found are allowed at once; for others
    another way is looked for.
    """

    def __init__(self, highest: int, count: int) -> None:
        self._highest, self._text = highest, ""
        self._min, self._max = (count, count) if count else (MIN_CORNERS, MAX_CORNERS)
        self._is_held = True
        """False behind text that was refused and came all the same."""
        self._sound: list[int] | None = None
        """Numbers of a sound polygon that continues the text."""
        self._last: tuple[str, list[int] | None] = ("", None)
        """The text that was looked at last, and how it can end."""

    def advance(self, text: str) -> None:
        self._is_held = self.allows(text)
        self._text += text
        if self._last[0] == self._text and self._last[1] is not None:
            self._sound = self._last[1]

    def allows(self, text: str) -> bool:
        text = self._text + text
        if not self._is_held:
            return True
        if text == self._last[0]:
            return self._last[1] is not None
        numbers = _Numbers.of(text)
        corners = _corners(numbers.whole)
        if len(numbers.whole) + bool(numbers.digits) <= 2 * _FREE_CORNERS:
            return self._is_new(corners, numbers)
        if self._sound is not None and numbers.begin(self._sound):
            return True
        self._last = text, self._find(numbers, corners)
        return self._last[1] is not None

    def _is_new(self, corners: list[Corner], numbers: _Numbers) -> bool:
        """Whether the second corner is another than the first, or can be."""
        if len(corners) == _FREE_CORNERS:
            return corners[0] != corners[1]
        if len(numbers.whole) != 3 or numbers.whole[2] != corners[0][0]:
            return True
        ((_, y),) = corners
        return any(span != (y, y) for span in _spans(numbers.digits, self._highest))

    def _find(self, numbers: _Numbers, corners: list[Corner]) -> list[int] | None:
        """Find the numbers of a sound polygon that continues some."""
        hint = _corners(self._sound or ())[len(corners) :]
        if numbers.closed or (len(numbers.whole) % 2 == 0 and not numbers.digits):
            chain, last = corners[:-1], corners[-1]
            if not extends(chain, last):
                return None
            further = self._complete(corners, hint, 0 if numbers.closed else 1)
            return None if further is None else _flatten([*corners, *further])
        spans = _spans(numbers.digits, self._highest)
        if len(numbers.whole) % 2:
            columns, rows = [(numbers.whole[-1],) * 2], spans
        else:
            columns, rows = spans, [(0, self._highest)]
        final = self._max == len(corners) + 1
        for thorough, limit in _MAX_TRIED.items():
            for corner in islice(_tried(corners, columns, rows, final=final), limit):
                further = self._complete([*corners, corner], hint[1:], thorough=thorough)
                if further is not None:
                    return _flatten([*corners, corner, *further])
        return None

    def _complete(
        self,
        corners: list[Corner],
        hint: list[Corner],
        least: int | None = None,
        *,
        thorough: bool = True,
    ) -> list[Corner] | None:
        """Find the corners that still follow; `least` of them, or as many as must."""
        missing = self._min - len(corners)
        limit = self._max - len(corners) if least != 0 else 0
        return complete(
            corners, Ending(max(missing, least or 0), limit, self._highest), hint, thorough=thorough
        )


def _tried(
    chain: list[Corner], columns: list[Span], rows: list[Span], *, final: bool
) -> Iterator[Corner]:
    """Yield corners to try in given columns and rows, those found without effort first."""
    for first_x, last_x in columns[::-1]:
        for first_y, last_y in rows[::-1]:
            x = (first_x + last_x) // 2
            ys = {(first_y + last_y) // 2, (3 * first_y + last_y) // 4, (first_y + 3 * last_y) // 4}
            for y in ys:
                if extends(chain, (x, y)):
                    yield x, y
    yield from open_corners(chain, columns, rows, closing=final)


def _spans(digits: str, highest: int) -> list[Span]:
    """List the numbers up to the highest that begin with digits, in spans from low to high."""
    if not digits:
        return [(0, highest)]
    low = high = int(digits)
    if not low:
        return [(0, 0)]
    spans = []
    while low <= highest:
        spans.append((low, min(high, highest)))
        low, high = low * 10, high * 10 + 9
    return spans


def _corners(numbers: list[int] | tuple[int, ...]) -> list[Corner]:
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def _flatten(corners: list[Corner]) -> list[int]:
    return [number for corner in corners for number in corner]
