"""Stage-B over Stage-A rows: OUT/<mission>.jsonl, one verdict a group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from shenhe.config import Mission, Missions, Template
from shenhe.config.missions import normalized
from shenhe.engines.base import Engine
from shenhe.errors import FormatError, RunError
from shenhe.records import (
    Answer,
    Group,
    Judgement,
    RunMeta,
    SummaryRow,
    VerdictRow,
    utc_now,
)
from shenhe.runs.deciding import Deciding
from shenhe.runs.drive import Bad, Finished, Job, drive
from shenhe.runs.ledger import read_rows
from shenhe.runs.observing import Observed
from shenhe.runs.outcome import RunCounts, RunOptions
from shenhe.runs.output import (
    Output,
    failures_file,
    key_of,
    open_output,
    rows_file,
    rows_so_far,
)
from shenhe.runs.probability import p_pass
from shenhe.runs.progress import RunProgress
from shenhe.runs.row_index import RowIndex
from shenhe.runs.stage_a import Plan, answer_meta, failure_of
from shenhe.shards import rows_files
from shenhe.stages import verdict

INCOMPLETE = "stage_a_incomplete"


class Compared(NamedTuple):
    """How many groups Stage-A knows, and whose verdicts rest on other lines than it has now."""

    groups: int
    stale: set[str]


@dataclass(frozen=True, slots=True)
class StageA:
    """The Stage-A rows of one mission: their file, and the groups that have none."""

    mission: Mission
    path: Path


def find_stage_a(source: Path, missions: Missions) -> list[StageA]:
    """Find Stage-A files: one file, or all rows files of a folder. One mission a file.

    Raises: RunError if there is none, or one is of no known mission; UsageError for a mission
    that is not known.
    """
    paths = rows_files(source) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise RunError(f"--stage-a {source}: no rows there; run `shenhe summarize` first")
    found = []
    for path in paths:
        first = next(read_rows(path), None) or next(read_rows(failures_file(path)), None)
        if first is not None:
            found.append(StageA(missions.get(str(first.get("mission"))), path))
    return found


def plan_verdicts(source: StageA, output_dir: Path, run: RunOptions) -> Plan:
    """Count what `run_verdicts` would do, without a model."""
    path = rows_file(output_dir, source.mission.name)
    with closing(rows_so_far(path, run)) as done:
        found = _compare(source, done)
        already = len(done) - len(found.stale)
    todo = found.groups - already
    groups = min(todo, run.limit) if run.limit is not None else todo
    return Plan(groups, groups, already)


def run_verdicts(
    engine: Engine,
    source: StageA,
    template: Template,
    output_dir: Path,
    *,
    options: dict[str, Any],
    run: RunOptions,
    max_new_tokens: int = verdict.MAX_NEW_TOKENS,
    deciding: Deciding | None = None,
) -> RunCounts:
    """Write the verdict of every group that has none, or has one on other lines than now.

    A group whose Stage-A is not complete, and one whose verdict cannot be read, is undecided.
    Raises: RunError, EngineError; what was written stays valid.
    """
    mission = source.mission
    counts = RunCounts()
    prompt_hash = template.hash(mission)
    deciding = deciding or Deciding()
    decisive = options | deciding.options
    decisive |= {
        "stage": "judge",
        "stage_a": str(source.path.absolute()),
        "mission": mission.name,
        "prompt_hash": prompt_hash,
        "checkpoint": engine.fingerprint,
        "max_new_tokens": max_new_tokens,
        "max_attempts": run.max_attempts,
    }
    path = rows_file(output_dir, mission.name)
    groups = 0

    def stale(done: RowIndex) -> set[str]:
        nonlocal groups
        groups, old = _compare(source, done)
        return old

    title = f"Stage-B {mission.name}"
    with (
        open_output(path, decisive, run, counts, stale) as output,
        RunProgress(title, run.up_to(groups, counts), counts, "groups") as bar,
        Observed(run.observers, title, counts, groups) as observed,
    ):
        output.expect(groups)
        writer = _Writer(output, prompt_hash, engine.fingerprint, deciding)
        todo = _summaries(source, output.done)
        jobs = writer.jobs(islice(todo, run.limit), mission, template, max_new_tokens)
        for finished in drive(engine, jobs, verdict.read, run.max_attempts, ordered=run.ordered):
            writer.record(finished)
            bar.update()
            observed.finished(finished)
        if run.limit is None:
            for group, missing in _incomplete(source, output):
                writer.undecided(group, f"第一阶段未完成: {missing}", INCOMPLETE)
    return counts


def lines_hash(per_image: Any) -> str:
    """Fingerprint the lines that a verdict rests on, 16 hex digits."""
    text = json.dumps(per_image, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _compare(source: StageA, done: RowIndex) -> Compared:
    """Compare the lines of each group with those that its verdict rests on."""
    without_lines = {key_of(row) for row in read_rows(failures_file(source.path))}
    groups = known = 0
    stale: set[str] = set()
    for row in read_rows(source.path):
        key = key_of(row)
        without_lines.discard(key)
        groups += 1
        if key in done:
            known += 1
            if done.inputs_hash(key) != lines_hash(row.get("per_image")):
                stale.add(key)
    for key in without_lines:
        if key in done:
            known += 1
            if done.inputs_hash(key) is not None:
                stale.add(key)
    if known < len(done):  # verdicts on groups that Stage-A knows no more
        with closing(RowIndex(source.path, key_of, temporary=True)) as there:
            gone = (key for key in done.keys() if key not in there)  # noqa: SIM118
            stale.update(key for key in gone if key not in without_lines)
    return Compared(groups + len(without_lines), stale)


def _summaries(source: StageA, done: RowIndex) -> Iterator[SummaryRow]:
    for row in read_rows(source.path):
        if key_of(row) in done:
            continue
        try:
            summary_row = SummaryRow.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise RunError(f"{source.path}: not a Stage-A row: {where}: {first['msg']}") from error
        if normalized(summary_row.mission) != normalized(source.mission.name):
            raise RunError(
                f"{source.path}: holds both {source.mission.name} and {summary_row.mission};"
                " give one file a mission"
            )
        yield summary_row


def _incomplete(source: StageA, output: Output) -> Iterator[tuple[Group, str]]:
    """The groups that Stage-A could not complete, with the items that failed."""
    failed: dict[str, tuple[Group, list[str]]] = {}
    for row in read_rows(failures_file(source.path)):
        if key_of(row) in output.done:
            continue
        group = Group(str(row["group_id"]), str(row["mission"]), row["label"], ())
        items = failed.setdefault(group.key, (group, []))[1]
        items.append(f"{Path(str(row['item'])).name} ({row['code']})")
    for group, items in failed.values():
        yield group, ", ".join(items)


class _Writer:
    """Turns outcomes into verdict rows."""

    def __init__(
        self, output: Output, prompt_hash: str, checkpoint: str, deciding: Deciding
    ) -> None:
        self._output, self._prompt_hash, self._checkpoint = output, prompt_hash, checkpoint
        self._deciding = deciding

    def jobs(
        self,
        rows: Iterator[SummaryRow],
        mission: Mission,
        template: Template,
        max_new_tokens: int,
    ) -> Iterator[Job[SummaryRow]]:
        for row in rows:
            try:
                request = verdict.request(row.key, row.per_image, mission, template, max_new_tokens)
            except FormatError as error:
                bad = Bad(error.code, f"a Stage-A line is no summary: {error}", 1)
                self._record_bad(row, bad)
            else:
                yield Job(row, self._deciding.requests(request))

    def record(self, finished: Finished[SummaryRow, Judgement]) -> None:
        row, decision = finished.item, self._deciding.decide(finished.outcomes)
        for outcome in finished.outcomes:
            if outcome.answer:
                self._output.counts.new_tokens += outcome.answer.new_tokens
        if decision.why is None:
            inputs = lines_hash(row.per_image)
            self._write(_group(row), decision.judgement, decision.answer, inputs)
        else:
            self._record_bad(row, decision.why)

    def undecided(self, group: Group, reason: str, code: str) -> None:
        """Write that a group cannot be decided yet."""
        failures = [failure_of(group, group.group_id, Bad(code, reason, 1))]
        self._output.add_failures(group.key, failures)
        self._write(group, None, None, None, reason)

    def _record_bad(self, row: SummaryRow, bad: Bad) -> None:
        group = _group(row)
        self._output.add_failures(group.key, [failure_of(group, group.group_id, bad)])
        # An engine that gave no answer may give one next time: such a row rests on no lines.
        inputs = lines_hash(row.per_image) if bad.answer else None
        self._write(group, None, bad.answer, inputs, f"{bad.code}: {bad.message}")

    def _write(
        self,
        group: Group,
        judgement: Judgement | None,
        answer: Answer | None,
        inputs_hash: str | None,
        reason: str = "",
    ) -> None:
        row = VerdictRow(
            group_id=group.group_id,
            mission=group.mission,
            label=group.label,
            verdict=judgement.verdict if judgement else None,
            reason=judgement.reason if judgement else reason,
            p_pass=p_pass(answer) if answer else None,
            status="decided" if judgement else "undecided",
            raw=answer.text if answer else "",
            timestamp=utc_now(),
            meta=RunMeta(
                prompt_hash=self._prompt_hash,
                checkpoint=self._checkpoint,
                inputs_hash=inputs_hash,
                answers={"verdict": answer_meta(answer)} if answer else {},
            ),
        )
        settled = judgement is not None
        self._output.add(row, group.key, settled=settled, inputs_hash=inputs_hash)


def _group(row: SummaryRow) -> Group:
    return Group(row.group_id, row.mission, row.label, ())
