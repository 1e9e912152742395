"""The moment of a request: what others decided elsewhere is followed once for each, as it begins.

A page makes many queries, and asking a shared database before each of them would take longer than
all of them. A page that is a moment old decides nothing that is not as it shows it.
"""

from __future__ import annotations

from contextvars import ContextVar

from shenhe.rows.decisions import Decisions

_MOMENT: ContextVar[set[Decisions] | None] = ContextVar("moment", default=None)


def begin_moment() -> None:
    """Begin a request: its first query follows, those after it need not."""
    _MOMENT.set(set())


def follow_once(decisions: Decisions) -> None:
    """Follow, unless that was done in this moment; without a moment, always.

    Raises: RunError if the decisions cannot be followed.
    """
    followed = _MOMENT.get()
    if followed is None or decisions not in followed:
        decisions.follow()
    if followed is not None:
        followed.add(decisions)
