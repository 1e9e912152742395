"""Boxes whose second corner lies beyond the first: what no grammar can say, said digit by digit."""

from __future__ import annotations

import re

_BOX = re.compile(r'"bbox_2d": ?\[([0-9, ]*)$')
_TAIL = 64
"""Characters within which a box begins and ends."""


class BoxOrder:
    """Follows an answer, and refuses digits after which a box could only be inverted or empty."""

    def __init__(self, highest: int) -> None:
        self._highest, self._tail = highest, ""

    def advance(self, text: str) -> None:
        """Take what was written."""
        self._tail = (self._tail + text)[-_TAIL:]

    @property
    def within(self) -> bool:
        """Whether a box is being written, so that every step counts."""
        return _BOX.search(self._tail) is not None

    def allows(self, text: str) -> bool:
        """Whether the box can still come right when this comes next."""
        found = _BOX.search(self._tail)
        if found is None:
            return True
        written, closed, _ = (found[1] + text).partition("]")
        numbers = written.split(",")
        for at, number in enumerate(numbers[:4]):
            digits, whole = number.strip(), at < len(numbers) - 1 or bool(closed)
            if at < 2:
                least = 0
                most = self._highest - 1
            else:
                first = numbers[at - 2].strip()
                least, most = int(first or 0) + 1, self._highest
            if whole and digits:
                if not least <= int(digits) <= most:
                    return False
            elif digits and not _reachable(digits, least, most):
                return False
        return True


def _reachable(digits: str, least: int, most: int) -> bool:
    """Whether a number from least to most begins with these digits, or is them."""
    low = high = int(digits)
    if low == 0:
        return least == 0
    while low <= most:
        if high >= least:
            return True
        low, high = low * 10, high * 10 + 9
    return False
