"""Everything under way: counts by state, the last jobs, and how fast the queue moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import select

from shenhe.service.jobs import Job, JobState
from shenhe.service.store import JobStore
from shenhe.service.tables import JOBS

PAGE: Final = 20
LOOKED_BACK: Final = timedelta(hours=1)
MAX_ENDS: Final = 2000
"""Ends that the pace is measured by."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs are listed: of a state, of a mission, below a number; empty or 0 for all.

    Example:
        JobFilter(state="failed", mission="挡风板安装检查")

    """

    state: JobState | None = None
    mission: str = ""
    before: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How many groups were ended in how long, and how many are not at their end.

    Units: seconds.

    >>> Pace(ended=30, seconds=600, waiting=12).seconds_left
    240.0
    """

    ended: int
    seconds: float
    waiting: int

    @property
    def seconds_left(self) -> float | None:
        """How long those that wait take at this pace; None where it is not known."""
        return self.waiting * self.seconds / self.ended if self.ended and self.waiting else None


@dataclass(frozen=True, slots=True)
class Overview:
    """What the home page shows of everything under way; `older` is the next `before`, 0 for none.

    Example:
        overview = read_overview(store, JobFilter())
        overview.counts["queued"]

    """

    counts: Mapping[JobState, int]
    jobs: Sequence[Job]
    older: int
    pace: Pace


def read_overview(store: JobStore, chosen: JobFilter) -> Overview:
    """Read what is under way.

    Raises: DatabaseAwayError; RunError.

    Example:
        read_overview(store, JobFilter("queued"))

    """
    counts = store.counts()
    jobs = _last_jobs(store, chosen)
    older = jobs[PAGE - 1].number if len(jobs) > PAGE else 0
    return Overview(counts, jobs[:PAGE], older, _measure_pace(store, counts))


def _last_jobs(store: JobStore, chosen: JobFilter) -> list[Job]:
    query = select(JOBS).where(JOBS.c.run == store.database.run)
    if chosen.state:
        query = query.where(JOBS.c.state == chosen.state)
    if chosen.mission:
        query = query.where(JOBS.c.mission == chosen.mission)
    if chosen.before:
        query = query.where(JOBS.c.number < chosen.before)
    query = query.order_by(JOBS.c.number.desc()).limit(PAGE + 1)
    with store.database.reading() as connection:
        return [store.cells.read(row) for row in connection.execute(query)]


def _measure_pace(store: JobStore, counts: Mapping[JobState, int]) -> Pace:
    """Measure by the last ends within an hour, from the first of them until now."""
    query = (
        select(JOBS.c.finished_at)
        .where(JOBS.c.run == store.database.run, JOBS.c.finish_number.is_not(None))
        .order_by(JOBS.c.finish_number.desc())
        .limit(MAX_ENDS)
    )
    with store.database.reading() as connection:
        texts = connection.execute(query).scalars().all()
    now = datetime.now(UTC)
    times = [datetime.fromisoformat(text) for text in texts if text]
    recent = [time for time in times if now - time <= LOOKED_BACK]
    span = (now - min(recent)).total_seconds() if recent else 0.0
    waiting = counts.get("queued", 0) + counts.get("running", 0)
    return Pace(len(recent), span if len(recent) > 1 else 0.0, waiting)
