"""An even sample of a stream of any length, the same one each time."""

from __future__ import annotations

import random
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Reservoir(Generic[Item]):
    """Keeps at most so many of the items it is given, each with the same chance."""

    def __init__(self, count: int) -> None:
        """Keep `count` items."""
        self.kept: list[Item] = []
        self.seen = 0
        self._count = count
        self._draw = random.Random(0)  # noqa: S311 - nothing secret depends on it

    def add(self, item: Item) -> None:
        """Take an item, or pass it over."""
        self.seen += 1
        if len(self.kept) < self._count:
            self.kept.append(item)
        elif (place := self._draw.randrange(self.seen)) < self._count:
            self.kept[place] = item
