"""Reservoir sampling: an even sample of a stream of unknown length, reproducible."""

from __future__ import annotations

import random
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Reservoir(Generic[Item]):
    """Keeps at most `size` items of a stream, each with the same probability.

    >>> reservoir = Reservoir[int](2)
    >>> for item in range(100):
    ...     reservoir.add(item)
    >>> len(reservoir.items), reservoir.total
    (2, 100)
    """

    def __init__(self, size: int) -> None:
        self.items: list[Item] = []
        self.total = 0
        """Number of items added, kept or not."""
        self._size = size
        self._random = random.Random(0)  # noqa: S311 - not cryptographic

    def add(self, item: Item) -> None:
        """Add an item; it may replace an earlier one or be skipped."""
        self.total += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (index := self._random.randrange(self.total)) < self._size:
            self.items[index] = item
