"""What each person has done on each day, by the days of one zone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

PAUSE_SECONDS: Final = 30 * 60.0
"""A longer time between two decisions is a pause, and in no median. Units: seconds."""
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?([0-5]\d)")


class Act(NamedTuple):
    """What a person did at a time: a decision, one of a blind audit, or a second opinion.

    `overrules` says that it contradicts the model, `undone` that it was taken back later.
    """

    reviewer: str
    at: str
    kind: str
    overrules: bool = False
    undone: bool = False


class DayOfWork(NamedTuple):
    """The work of a person on a day: how many of each kind, what was taken back, how fast.

    `pace` is the median time between two acts, without pauses; None for fewer than two.
    """

    day: str
    reviewer: str
    decisions: int
    overruled: int
    audits: int
    seconds: int
    undone: int
    pace: float | None


def read_zone(text: str) -> timezone | None:
    """Read an offset from UTC such as +08:00; None for anything else.

    >>> read_zone("+08:00").utcoffset(None).total_seconds() / 3600
    8.0
    """
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[2]) > 14:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def local_zone() -> timezone:
    """Give the zone of this machine, by its offset of today."""
    offset = datetime.now().astimezone().utcoffset()
    return timezone(offset or timedelta())


def name_zone(zone: timezone) -> str:
    """Name a zone by its offset.

    >>> name_zone(timezone(timedelta(hours=8)))
    'UTC+08:00'
    """
    text = datetime.now(zone).strftime("%z")
    return f"UTC{text[:3]}:{text[3:5]}"


def work_by_day(acts: Iterable[Act], zone: timezone) -> list[DayOfWork]:
    """Count what people did, a line for each person and day, the last day first."""
    days: dict[tuple[str, str], list[tuple[datetime, Act]]] = {}
    for act in acts:
        moment = datetime.fromisoformat(act.at.replace("Z", "+00:00")).astimezone(UTC)
        day = moment.astimezone(zone).date().isoformat()
        days.setdefault((day, act.reviewer), []).append((moment, act))
    lines = [_count(day, reviewer, done) for (day, reviewer), done in days.items()]
    lines.sort(key=lambda line: line.reviewer)
    return sorted(lines, key=lambda line: line.day, reverse=True)


def _count(day: str, reviewer: str, done: list[tuple[datetime, Act]]) -> DayOfWork:
    kept = [act for _, act in done if not act.undone]
    times = sorted(moment for moment, _ in done)
    steps = [(b - a).total_seconds() for a, b in pairwise(times)]
    steps = [step for step in steps if step <= PAUSE_SECONDS]
    counts = [sum(act.kind == kind for act in kept) for kind in ("decision", "audit", "second")]
    overruled = sum(act.overrules for act in kept if act.kind == "decision")
    undone = len(done) - len(kept)
    return DayOfWork(
        *(day, reviewer, counts[0], overruled, counts[1], counts[2], undone),
        median(steps) if steps else None,
    )
