"""Groups that people have open: a page holds its group, and moves lead past those of others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol, TypeVar

from shenhe.rows.decisions import Decisions
from shenhe.team import Claims

TRIES = 1000
"""How often the next group is looked for while others take those that were found: each time, one of
them has got on."""


class HeldPage(NamedTuple):
    """A page of a group: who else has the group open, and what others have open by now."""

    holder: str
    of_others: Collection[str]


class Keyed(Protocol):
    """An entry of a queue."""

    @property
    def key(self) -> str:
        """Key of its group."""


Entry = TypeVar("Entry", bound=Keyed)


def hold_page(claims: Claims, key: str, reviewer: str) -> HeldPage:
    """Hold the group of a page that is about to be shown.

    Raises: DatabaseAwayError if the database does not answer.
    """
    holder = claims.take(key, reviewer) if reviewer else ""
    return HeldPage(holder, claims.held(but=reviewer))


def second_hold(key: str) -> str:
    """Give what is held of a group by whoever gives a second opinion on it."""
    return f"second {key}"


def take_next(
    claims: Claims,
    decisions: Decisions,
    reviewer: str,
    find: Callable[[Collection[str]], Entry | None],
) -> Entry | None:
    """Find the next group that nobody else has open, and hold it.

    `find` looks for an entry beside those keys. Raises: DatabaseAwayError.
    """
    for _ in range(TRIES):
        of_others = claims.held(but=reviewer)
        # After that look: what others let go of by deciding it is known as decided.
        decisions.follow()
        entry = find(of_others)
        if entry is None or not claims.take(entry.key, reviewer):
            return entry
    return None
