"""Order of box corners, digit by digit: a grammar cannot require x1 < x2 and y1 < y2."""

from __future__ import annotations

import re

_OPEN_BOX = re.compile(r'"bbox_2d": ?\[([0-9, ]*)$')
_MAX_BOX_TEXT = 64
"""Length of a whole box. Units: characters."""


class BoxOrder:
    """Follows an answer, and refuses digits after which a box could only be inverted or empty."""

    def __init__(self, highest: int) -> None:
        self._highest, self._tail = highest, ""

    def advance(self, text: str) -> None:
        """Append text to the answer."""
        self._tail = (self._tail + text)[-_MAX_BOX_TEXT:]

    @property
    def in_box(self) -> bool:
        """Whether the answer ends inside a box."""
        return _OPEN_BOX.search(self._tail) is not None

    def allows(self, text: str) -> bool:
        """Whether the open box can still become valid with this text next."""
        match = _OPEN_BOX.search(self._tail)
        if match is None:
            return True
        numbers_text, closed, _ = (match[1] + text).partition("]")
        numbers = numbers_text.split(",")
        for index, number in enumerate(numbers[:4]):
            digits, complete = number.strip(), index < len(numbers) - 1 or bool(closed)
            if index < 2:
                low, high = 0, self._highest - 1
            else:
                first = numbers[index - 2].strip()
                low, high = int(first or 0) + 1, self._highest
            if complete and digits:
                if not low <= int(digits) <= high:
                    return False
            elif digits and not _can_reach(digits, low, high):
                return False
        return True


def _can_reach(digits: str, low: int, high: int) -> bool:
    """Whether a number from `low` to `high` equals these digits or starts with them."""
    smallest = largest = int(digits)
    if smallest == 0:
        return low == 0
    while smallest <= high:
        if largest >= low:
            return True
        smallest, largest = smallest * 10, largest * 10 + 9
    return False
