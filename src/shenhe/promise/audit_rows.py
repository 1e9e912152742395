"""The rows, decisions and audits of runs, read as groups that people have looked at or not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from shenhe.promise.audited import (
    NO_NUMBER,
    Course,
    JudgedGroup,
    Looks,
    Maker,
    Stratum,
    Truth,
    count_looks,
)
from shenhe.row_types import VerdictRow
from shenhe.rows.audits import AuditPlan, read_audit_plan
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions
from shenhe.rows.outcomes import Outcome, has_decisions, read_run_verdicts
from shenhe.rows.photo_inputs import read_photo_inputs
from shenhe.values import FAIL, PASS

NO_WEEK: Final = "0000-W00"
"""The week of rows without a time: they come before all others."""
TRUTHS: Final[dict[str, Truth]] = {PASS: "good", "pass": "good", FAIL: "bad", "fail": "bad"}
"""What a choice of people, and a label of the photo tree, say of a group."""


@dataclass(slots=True)
class AuditReading:
    """What was read of runs.

    `without_plan` are the runs that passed groups and have no audit, `repeated` counts groups of
    which a later verdict counts, `undated` rows without a time. `shares` are those of the audits.
    """

    looks: list[Looks] = field(default_factory=list)
    groups: int = 0
    repeated: int = 0
    undated: int = 0
    without_plan: list[Path] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


def read_looks(run_dirs: Sequence[Path]) -> AuditReading:
    """Read runs and count what people have looked at.

    Of photos that the same maker judged several times the latest verdict counts. Photos that were
    handed in anew count by themselves: a bad group that an audit found stays found when it comes
    back mended.
    Raises: RunError if a run has no verdicts, or its rows, decisions or audit cannot be read.

    Example:
        reading = read_looks([Path("week-47"), Path("week-48")])

    """
    reading = AuditReading()
    latest: dict[tuple[str, str, Maker], JudgedGroup] = {}
    planned: dict[int, float] = {}
    for number, run_dir in enumerate(run_dirs):
        plan = read_audit_plan(run_dir)
        planned[number] = plan.share if plan else 0.0
        if plan is not None:
            reading.shares.append(plan.share)
        has_passed = False
        for submission, group in _read_groups(run_dir, number, plan):
            key = (*submission, group.stratum.maker)
            before = latest.get(key)
            reading.repeated += before is not None
            if before is None or group.at >= before.at:
                latest[key] = group
            has_passed = has_passed or group.course == "passed"
            reading.undated += group.stratum.week == NO_WEEK
        if plan is None and has_passed:
            reading.without_plan.append(run_dir)
    reading.groups = len({key for key, *_ in latest})
    reading.looks = count_looks(latest.values(), planned)
    return reading


def _read_groups(
    run_dir: Path, number: int, plan: AuditPlan | None
) -> Iterator[tuple[tuple[str, str], JudgedGroup]]:
    """Yield groups, each after its key and the fingerprint of its photos where that is known."""
    inputs = read_photo_inputs(run_dir) if has_decisions(run_dir) else {}
    blind, current = _read_choices(run_dir, inputs)
    for row in read_run_verdicts(run_dir):
        key, outcome = row.key, Outcome.of(row)
        course = _course(outcome)
        truth: Truth
        drawn_key = key
        if course == "passed":  # what people say who know the verdict is no audit
            truth, drawn_key = blind.get(key, ("", key))
        else:
            truth = current.get(key) or TRUTHS.get(row.label or "", "")
        week, at = _week(row.timestamp)
        group = JudgedGroup(
            Stratum(row.mission, week, _maker(row), number),
            course,
            truth,
            math.inf if outcome.log_odds is None else outcome.log_odds,
            plan.number(drawn_key) if plan and course == "passed" else NO_NUMBER,
            at,
        )
        yield (key, inputs.get(key) or ""), group


def _course(outcome: Outcome) -> Course:
    """Say what became of a group.

    Only a 通过 that nothing but a threshold holds back would pass at another one.
    """
    if outcome.verdict is not None:
        return "passed" if outcome.verdict == PASS else "failed"
    return "held" if outcome.can_pass else "undecided"


def _maker(row: VerdictRow) -> Maker:
    meta = row.meta
    rules = meta.evidence.rules if meta.evidence else ""
    return Maker(meta.promise or "", meta.checkpoint, meta.prompt_hash, rules)


def _read_choices(
    run_dir: Path, inputs: Mapping[str, str | None]
) -> tuple[dict[str, tuple[Truth, str]], dict[str, Truth]]:
    """Read what people said blind, with the key that the audit drew, and what they say now.

    A group that has moved to another label stays at its place in the order of the audit: found bad
    and moved for it, it must not leave the sample.
    """
    if not has_decisions(run_dir):
        return {}, {}
    decisions = Decisions(run_dir)
    blind = {
        each.decision.key: (_truth_of(each.decision), each.drawn_key)
        for each in decisions.audited(inputs)
    }
    current = {decision.key: _truth_of(decision) for decision in decisions.all_current(inputs)}
    return blind, current


def _truth_of(decision: Decision) -> Truth:
    """Say what a decision says of its group."""
    choice = decision.opinion.choice if decision.opinion else ""
    return TRUTHS.get(choice, "doubt")


def _week(timestamp: str) -> tuple[str, float]:
    """Give the week of a time, as 2026-W48, and the time. Units: seconds since 1970."""
    try:
        at = datetime.fromisoformat(timestamp)
        return _week_of(at.date()), at.timestamp()
    except (ValueError, OverflowError):
        return NO_WEEK, 0.0


@lru_cache(4096)
def _week_of(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}"
