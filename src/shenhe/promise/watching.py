"""What audits say of each mission: promised, used, audited, and the state of inspection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from shenhe.promise.alarm import State, WeekState, watch_weeks
from shenhe.promise.audit_rows import AuditReading
from shenhe.promise.audited import Looks, Maker
from shenhe.promise.bound import BandWeek, estimate, find_band
from shenhe.promise.ladder import loosen
from shenhe.rows.promises import Promise

LIMIT: Final = 0.05
CONFIDENCE: Final = 0.95
"""The field's limit, and how sure bounds are, where no promise says otherwise."""
RECENT_WEEKS: Final = 4


@dataclass(frozen=True, slots=True)
class Audited:
    """What people found of the groups that the present maker decided.

    `looked` of `passed` groups were looked at blind, `false` of them are bad, and of `doubts`
    people cannot tell. `bad` counts all bad groups that are known, `left` those left to people that
    nobody has decided. `of_bad` is the share of bad groups that pass, `of_passed` that of passed
    groups that are bad; `low` to `high` is the interval of `of_bad`, at any time.
    """

    passed: int
    looked: int
    false: int
    doubts: int
    bad: int
    left: int
    of_bad: float | None
    recent: float | None
    of_passed: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MissionWatch:
    """What is said of a mission; an empty `mission` stands for all of them.

    `limit` is the promised share, `threshold` the promised log-odds and `promised` the hash of the
    promise, empty where the mission has none; `threshold` is None also where nothing could be
    promised. `lowest` are the lowest log-odds that passed, `ladder` the threshold that looks allow
    now. `bands` has one entry a maker, in order.
    """

    mission: str
    limit: float
    promised: str
    threshold: float | None
    used: Maker
    lowest: float | None
    ladder: float | None
    audited: Audited
    bands: tuple[tuple[BandWeek, ...], ...]
    weeks: tuple[WeekState, ...]

    @property
    def state(self) -> State:
        """The state of inspection after the last week."""
        return self.weeks[-1].state if self.weeks else "normal"

    @property
    def alarm_week(self) -> str:
        """The week of the alarm that stopped the mission; empty where nothing is stopped."""
        if self.state != "stopped":
            return ""
        before = [each.state == "stopped" for each in self.weeks]
        first = len(before) - (before[::-1].index(False) if False in before else len(before))
        return self.weeks[first].week

    @property
    def is_proven(self) -> bool:
        """Whether the audited groups alone prove what is promised."""
        return self.audited.high <= self.limit


@dataclass(frozen=True, slots=True)
class Watch:
    """What audits say. `missions` begins with all of them together, where there are several.

    `share` is that of the audit in normal inspection, None where there was no audit.
    """

    missions: tuple[MissionWatch, ...]
    limit: float
    confidence: float
    promise: Promise | None
    share: float | None
    reading: AuditReading

    @property
    def state(self) -> State:
        """The worst state of any mission."""
        return min((mission.state for mission in self.missions), key=_rank)

    def state_of(self, mission: MissionWatch) -> State:
        """Give the state that a mission is in: what all of them show concerns it too.

        It does not where a mission that shows as much by itself explains it.
        """
        together, *singles = self.missions
        if not singles or any(_rank(each.state) <= _rank(together.state) for each in singles):
            return mission.state
        return min(mission.state, together.state, key=_rank)

    def next_share(self, state: State) -> float | None:
        """Give the share of passed groups that people look at next; None where that is not set.

        After an alarm it is all of them: what the machine passes is not used.
        """
        if state == "stopped":
            return 1.0
        if self.share is None:
            return None
        return min(1.0, 2 * self.share) if state == "tightened" else self.share


ORDER: Final[tuple[State, ...]] = ("stopped", "tightened", "normal")
"""States, the worst first."""


def _rank(state: State) -> int:
    return ORDER.index(state)


def watch_audits(reading: AuditReading, promise: Promise | None = None) -> Watch:
    """Draw conclusions from audited groups.

    Each mission has its own detector, and all together have one: half of the false alarms that are
    allowed may come from it. A pooled promise is one for all missions together, so that only this
    detector runs, and its state is that of each.

    Example:
        watch = watch_audits(read_looks([Path("out")]), read_promise(Path("promise.json")))

    """
    limit = promise.max_false_pass if promise else LIMIT
    confidence = promise.confidence if promise else CONFIDENCE
    names = sorted({looks.stratum.mission for looks in reading.looks})
    by_mission = {
        name: [looks for looks in reading.looks if looks.stratum.mission == name] for name in names
    }
    pooled = promise is not None and promise.pooled
    watches: list[MissionWatch] = []
    if len(names) > 1:
        weeks = watch_weeks(reading.looks, limit, 1 if pooled else 2)
        current = [looks for part in by_mission.values() for looks in _current(part)]
        watches.append(_watch("", reading.looks, current, promise, confidence, weeks))
    for name, looks in by_mission.items():
        detectors = 2 * len(names) if len(names) > 1 else 1
        own = watches[0].weeks if pooled and watches else watch_weeks(looks, limit, detectors)
        watches.append(_watch(name, looks, _current(looks), promise, confidence, own))
    share = min(reading.shares) if reading.shares else None
    return Watch(tuple(watches), limit, confidence, promise, share, reading)


def _watch(
    name: str,
    looks: Sequence[Looks],
    current: Sequence[Looks],
    promise: Promise | None,
    confidence: float,
    weeks: Sequence[WeekState],
) -> MissionWatch:
    limit = promise.max_false_pass if promise else LIMIT
    own = promise.missions.get(name) if promise else None
    current = sorted(current, key=_order)
    # Missions may have makers of their own: all together have no history that can be compared.
    bands = _bands(looks, confidence) if name else (tuple(find_band(current, confidence)),)
    lowest = min((each.lowest for each in current), default=math.inf)
    threshold, used = own.threshold if own else None, current[-1].stratum.maker
    model = [each for each in looks if each.stratum.maker.model == used.model]
    return MissionWatch(
        name,
        limit,
        promise.hash if promise and own else "",
        threshold,
        used,
        lowest if math.isfinite(lowest) else None,
        None if threshold is None else loosen(model, limit, confidence, threshold),
        _count(current, bands[-1][-1]),
        bands,
        tuple(weeks),
    )


def _bands(looks: Sequence[Looks], confidence: float) -> tuple[tuple[BandWeek, ...], ...]:
    """Give a band a maker: what another checkpoint or promise did proves nothing of this one."""
    ordered = sorted(looks, key=lambda each: (each.stratum.maker, *_order(each)))
    parts = [list(part) for _, part in groupby(ordered, key=lambda each: each.stratum.maker)]
    parts.sort(key=lambda part: _order(part[-1]))
    return tuple(tuple(find_band(part, confidence)) for part in parts)


def _current(looks: Sequence[Looks]) -> list[Looks]:
    """Take those of the maker that decided last."""
    maker = max(looks, key=_order).stratum.maker
    return [each for each in looks if each.stratum.maker == maker]


def _order(looks: Looks) -> tuple[str, float]:
    return looks.stratum.week, looks.since


def _count(looks: Sequence[Looks], last: BandWeek) -> Audited:
    slipped, stopped = sum(each.false for each in looks), sum(each.stopped for each in looks)
    reached = sum(each.passed for each in looks if each.share)
    weeks = sorted({each.stratum.week for each in looks})
    recent = weeks[-RECENT_WEEKS:] if len(weeks) > RECENT_WEEKS else []
    weighted = sum((each.false + each.doubts) / each.share for each in looks if each.share)
    return Audited(
        sum(each.passed for each in looks),
        sum(each.looked for each in looks),
        slipped,
        sum(each.doubts for each in looks),
        slipped + stopped,
        sum(each.left for each in looks),
        estimate(looks),
        estimate([each for each in looks if each.stratum.week in recent]),
        weighted / reached if reached else None,
        last.low,
        last.high,
    )
