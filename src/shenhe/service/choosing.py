"""Which jobs a worker takes next: fresh ones together, those that workers died over apart.

Of jobs that die together nobody can tell which one it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import Connection, Select, exists, select

from shenhe.service.tables import JOBS, OPEN

SUSPECT_ATTEMPTS: Final = 2
"""A job over which so many workers died is worked beside fresh ones alone."""
ALONE_ATTEMPTS: Final = 3
"""One over which so many died is worked by itself: if its worker dies again, it is the reason."""
_EARLIER: Final = JOBS.alias("earlier")


def choose_free(
    connection: Connection,
    run: str,
    held: Sequence[int],
    limit: int,
    without: Collection[str] = (),
) -> list[int]:
    """Choose free jobs for a worker, and lock them; `held` are the attempts of those in its hands.

    Those of the missions in `without` are left to others.

    Jobs that two workers died over are not taken beside each other, and after a third one not
    beside any: then the fourth and the fifth show whether it is them.

    Example:
        numbers = choose_free(connection, database.run, held=[1, 1], limit=8)

    """
    free = _free(run).where(JOBS.c.mission.not_in(without))
    # Each held one has been counted once more.
    if any(attempts > ALONE_ATTEMPTS for attempts in held):
        return []
    last = connection.scalars(free.where(JOBS.c.attempts >= ALONE_ATTEMPTS).limit(min(1, limit)))
    if numbers := [*last]:
        return [] if held else numbers
    is_suspect = JOBS.c.attempts >= SUSPECT_ATTEMPTS
    if all(attempts <= SUSPECT_ATTEMPTS for attempts in held):
        numbers += connection.scalars(free.where(is_suspect).limit(min(1, limit)))
    numbers += connection.scalars(free.where(~is_suspect).limit(limit - len(numbers)))
    return numbers


def _free(run: str) -> Select[tuple[int]]:
    """Select the queued jobs of a service that are the oldest open version of their group."""
    is_earlier_open = (
        (_EARLIER.c.run == JOBS.c.run)
        & (_EARLIER.c.group_digest == JOBS.c.group_digest)
        & (_EARLIER.c.version < JOBS.c.version)
        & _EARLIER.c.state.in_(OPEN)
    )
    return (
        select(JOBS.c.number)
        .where(JOBS.c.run == run, JOBS.c.state == "queued")
        .where(~exists().where(is_earlier_open))
        .order_by(JOBS.c.rank, JOBS.c.number)
        .with_for_update(skip_locked=True, of=JOBS)
    )
