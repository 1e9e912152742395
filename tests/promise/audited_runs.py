"""Runs with audits, row by row like real ones: verdicts, a plan, and what people say blind."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from shenhe.row_types import RunMeta, SummaryRow, VerdictMeta, VerdictRow
from shenhe.rows.audits import plan_audit, read_audit_plan
from shenhe.rows.decision_rows import Decision, DecisionChoice, Opinion
from shenhe.rows.decisions import Decisions
from shenhe.rows.fingerprints import without_times
from shenhe.rows.keys import rows_file
from shenhe.values import FAIL, PASS, UNSURE, Label, Ruling
from tests.conftest import MISSION

PROMISE, CHECKPOINT = "a" * 16, "c" * 16
MONDAY = date(2026, 1, 5)


class Group(NamedTuple):
    """A group as the machine left it, and what people say of it; empty: nobody has looked."""

    group_id: str
    verdict: Ruling | None = PASS
    choice: DecisionChoice | None = None
    log_odds: float | None = 3.0
    mission: str = MISSION
    label: Label | None = None
    why: tuple[str, ...] = ()
    promise: str | None = PROMISE
    checkpoint: str = CHECKPOINT
    timestamp: str = ""
    inputs: str | None = None


def verdict_row(group: Group, timestamp: str) -> VerdictRow:
    """Write the row of a group."""
    held = group.verdict is None and group.why == (UNSURE,)
    return VerdictRow(
        group_id=group.group_id,
        mission=group.mission,
        label=group.label,
        verdict=group.verdict,
        reason="图片_1符合要求" if group.verdict else "unsure: too low",
        p_pass=None,
        status="decided" if group.verdict else "undecided",
        raw="",
        timestamp=group.timestamp or timestamp,
        meta=VerdictMeta(
            prompt_hash="0" * 16,
            checkpoint=group.checkpoint,
            answers={},
            why=list(group.why),
            ruling=PASS if held else group.verdict,
            log_odds=group.log_odds,
            promise=group.promise,
        ),
    )


def _summary_row(group: Group, timestamp: str) -> SummaryRow:
    meta = RunMeta(
        prompt_hash="0" * 16, checkpoint=group.checkpoint, answers={}, inputs_hash=group.inputs
    )
    return SummaryRow(
        group_id=group.group_id,
        mission=group.mission,
        label=group.label,
        images=["1.jpg"],
        per_image={"图片_1": "BBU设备/华为/显示完整×1"},
        timestamp=timestamp,
        meta=meta,
    )


def week_time(week: int) -> str:
    """Give the time of a Wednesday, weeks after the first of 2026."""
    return f"{MONDAY + timedelta(days=7 * week + 2)}T08:00:00.000000Z"


def write_run(
    run_dir: Path, groups: Sequence[Group], week: int = 0, share: float | None = 0.1
) -> Path:
    """Write a run, plan its audit, and have people decide what they would be shown."""
    rows: dict[Path, list[str]] = {}
    for group in groups:
        line = verdict_row(group, week_time(week)).to_json()
        rows.setdefault(rows_file(run_dir / "stage_b", group.mission), []).append(line)
        if group.inputs:
            line = _summary_row(group, week_time(week)).to_json()
            rows.setdefault(rows_file(run_dir / "stage_a", group.mission), []).append(line)
    for path, lines in rows.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if share is not None:
        plan_audit(run_dir, share)
    decide(run_dir, groups)
    return run_dir


def decide(run_dir: Path, groups: Iterable[Group]) -> None:
    """Have people decide: of passed groups those that are drawn, blind, in their order."""
    plan, decisions = read_audit_plan(run_dir), Decisions(run_dir)
    for group in groups:
        row = verdict_row(group, "")
        is_drawn = group.verdict == PASS and plan is not None and plan.draws(row.key)
        if group.choice and (is_drawn or group.verdict != PASS):
            audit = plan.share if plan and is_drawn else None
            opinion = Opinion(choice=group.choice)
            inputs = without_times(group.inputs) if group.inputs else None
            entry = _Entry(row.key, row.group_id, row.mission, row.label, row.verdict, inputs)
            decisions.add(Decision.on(entry, opinion, "王工", audit=audit))


class _Entry(NamedTuple):
    key: str
    group_id: str
    mission: str
    label: Label | None
    verdict: Ruling | None
    inputs: str | None


def draw_week(
    week: int,
    false_pass: float,
    size: int = 300,
    mission: str = MISSION,
    promise: str | None = PROMISE,
    checkpoint: str = CHECKPOINT,
) -> list[Group]:
    """Draw a week: a fifth is bad, of which a share passes; labels tell the truth."""
    chance = random.Random(f"{week} {mission} {false_pass}")
    groups = []
    for number in range(size):
        is_bad = chance.random() < 0.2
        passes = chance.random() < (false_pass if is_bad else 0.6)
        held = not passes and (chance.random() < 0.5) is not is_bad
        groups.append(
            Group(
                f"QC-{week:03d}-{number:05d}",
                PASS if passes else None if held else FAIL,
                (FAIL if is_bad else PASS) if passes else None,
                chance.uniform(2, 8) if passes else chance.uniform(0, 2) if held else -2.0,
                mission,
                "fail" if is_bad else "pass",
                why=(UNSURE,) if held else (),
                promise=promise,
                checkpoint=checkpoint,
            )
        )
    return groups
