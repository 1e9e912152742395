"""The groups that a run leaves alone: those with a row, and those that were not chosen."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

EXCLUDED = "excluded"
"""What is passed over where groups are left out by name."""


@dataclass(frozen=True, slots=True)
class NotToDo:
    """Keys of groups that need no row.

    >>> "b" in NotToDo({"a"}, {"a", "c"}), "c" in NotToDo({"a"}, {"a", "c"})
    (True, False)
    """

    done: Container[str]
    chosen: Container[str]

    def __contains__(self, key: object) -> bool:
        return key in self.done or key not in self.chosen
