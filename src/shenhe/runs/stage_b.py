"""Stage-B over Stage-A rows: OUT/<mission>.jsonl, one verdict a group."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from shenhe.config import Mission, Missions, Template
from shenhe.config.missions import normalized
from shenhe.engines.base import Engine
from shenhe.errors import FormatError, RunError
from shenhe.locations import written
from shenhe.records import (
    FAIL,
    PASS,
    WHY,
    Answer,
    Group,
    Judgement,
    RunMeta,
    SummaryRow,
    VerdictRow,
    photo_key,
    utc_now,
)
from shenhe.runs.deciding import Deciding
from shenhe.runs.drive import Bad, Finished, Job, drive
from shenhe.runs.ledger import Json, read_rows
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
from shenhe.runs.repeats import Repeated, Repeats
from shenhe.runs.row_index import RowIndex
from shenhe.runs.stage_a import Plan, answer_meta, failure_of, told_left_out
from shenhe.shards import rows_files
from shenhe.stages import verdict

INCOMPLETE, LEFT_OUT, DUPLICATE, FORMAT = (
    "stage_a_incomplete",
    "left_out",
    "duplicate_group",
    "format",
)


SHOWN = 5
"""So many keys of lines are named."""


class Compared(NamedTuple):
    """How many groups Stage-A knows, and whose verdicts rest on other lines than it has now.

    `repeated` are the groups that have several rows.
    """

    groups: int
    stale: set[str]
    repeated: Mapping[str, Repeated]


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

    A group whose Stage-A is not complete, one that has several rows with other lines, and one whose
    verdict cannot be read, is undecided; so is a 通过 on a group that was not looked at whole.
    Raises: RunError, EngineError; what was written stays valid.
    """
    mission = source.mission
    counts = RunCounts()
    prompt_hash = template.hash(mission)
    deciding = deciding or Deciding()
    decisive = options | deciding.options
    decisive |= {
        "stage": "judge",
        "stage_a": written(source.path.absolute()),
        "mission": mission.name,
        "prompt_hash": prompt_hash,
        "checkpoint": engine.fingerprint,
        "max_new_tokens": max_new_tokens,
        "max_attempts": run.max_attempts,
    }
    path = rows_file(output_dir, mission.name)
    groups = 0
    repeated: Mapping[str, Repeated] = {}

    def stale(done: RowIndex) -> set[str]:
        nonlocal groups, repeated
        groups, old, repeated = _compare(source, done)
        return old

    title = f"Stage-B {mission.name}"
    with (
        open_output(path, decisive, run, counts, stale) as output,
        RunProgress(title, run.up_to(groups, counts), counts, "groups") as bar,
        Observed(run.observers, title, counts, groups) as observed,
    ):
        output.expect(groups)
        writer = _Writer(output, prompt_hash, engine.fingerprint, deciding)
        todo = _summaries(source, output.done, repeated)
        jobs = writer.jobs(islice(todo, run.limit), mission, template, max_new_tokens, repeated)
        for finished in drive(engine, jobs, verdict.read, run.max_attempts, ordered=run.ordered):
            writer.record(finished)
            bar.update()
            observed.finished(finished)
        if run.limit is None:
            for group, why, missing in _incomplete(source, output):
                writer.undecided(group, f"第一阶段未完成: {missing}", why)
    return counts


def lines_hash(per_image: Any) -> str:
    """Fingerprint the lines that a verdict rests on, 16 hex digits."""
    text = json.dumps(per_image, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def rests_on(row: Json) -> str:
    """Fingerprint what a verdict on a Stage-A row rests on: its lines, and what they lack."""
    meta, images = row.get("meta"), row.get("images")
    left_out = meta.get("left_out") if isinstance(meta, dict) else None
    lines = row.get("per_image")
    whole: list[Any] = [left_out] if left_out else []
    if isinstance(images, list) and isinstance(lines, dict) and lacks(len(images), lines):
        whole.append(len(images))
    return lines_hash([lines, *whole] if whole else lines)


def lacks(photos: int, lines: Mapping[str, Any]) -> str:
    """Say what lines lack to be one for each photo, in order; nothing where they are whole."""
    if not lines:
        return f"{photos} 张照片, 没有一行"
    if list(lines) != [photo_key(index) for index in range(photos)]:
        return f"{photos} 张照片, {len(lines)} 行: {', '.join(islice(lines, SHOWN))}"
    blank = [key for key, line in lines.items() if not str(line).strip()]
    return f"没有内容: {', '.join(blank[:SHOWN])}" if blank else ""


def _compare(source: StageA, done: RowIndex) -> Compared:
    """Compare the lines of each group with those that its verdict rests on."""
    without_lines = {key_of(row) for row in read_rows(failures_file(source.path))}
    groups = known = 0
    stale: set[str] = set()
    repeats = Repeats()
    for row in read_rows(source.path):
        key = key_of(row)
        repeats.note(key)
        without_lines.discard(key)
        groups += 1
        if key in done:
            known += 1
            if done.inputs_hash(key) != rests_on(row):
                stale.add(key)
    repeated = repeats.find(source.path, key_of, rests_on)
    for key, rows in repeated.items():  # counted row by row so far
        groups -= len(rows.places) - 1
        if key in done:
            known -= len(rows.places) - 1
            stale.discard(key)
            if done.inputs_hash(key) != rows.rests_on:
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
    return Compared(groups + len(without_lines), stale, repeated)


def _summaries(
    source: StageA, done: RowIndex, repeated: Mapping[str, Repeated]
) -> Iterator[SummaryRow]:
    seen: set[str] = set()
    for row in read_rows(source.path):
        key = key_of(row)
        if key in done or key in seen:
            continue
        if key in repeated:
            seen.add(key)
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


def _incomplete(source: StageA, output: Output) -> Iterator[tuple[Group, list[str], str]]:
    """The groups that Stage-A could not complete, their codes, and the items that failed."""
    failed: dict[str, tuple[Group, list[str], list[str]]] = {}
    for row in read_rows(failures_file(source.path)):
        if key_of(row) in output.done:
            continue
        group = Group(str(row["group_id"]), str(row["mission"]), row["label"], ())
        _, codes, items = failed.setdefault(group.key, (group, [INCOMPLETE], []))
        if row.get("code") == LEFT_OUT:
            codes.append(LEFT_OUT)
            items.append(str(row.get("message")))
        else:
            items.append(f"{Path(str(row.get('item'))).name} ({row.get('code')})")
    for group, codes, items in failed.values():
        yield group, codes, ", ".join(items)


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
        repeated: Mapping[str, Repeated],
    ) -> Iterator[Job[SummaryRow]]:
        for row in rows:
            inputs = _rests_on(row)
            if row.key in repeated:
                inputs = repeated[row.key].rests_on
                if repeated[row.key].differ:
                    self.undecided(_group(row), repeated[row.key].told, [DUPLICATE], inputs)
                    continue
            if lacking := lacks(len(row.images), row.per_image):
                codes = [INCOMPLETE, *_not_whole(row)]
                self.undecided(_group(row), f"第一阶段未完成: {lacking}", codes, inputs)
                continue
            try:
                request = verdict.request(row.key, row.per_image, mission, template, max_new_tokens)
            except FormatError as error:
                bad = Bad(error.code, f"a Stage-A line is no summary: {error}", 1)
                self._record_bad(row, bad, [error.code, *_not_whole(row)])
            else:
                yield Job(row, self._deciding.requests(request))

    def record(self, finished: Finished[SummaryRow, Judgement]) -> None:
        row, decision = finished.item, self._deciding.decide(finished.outcomes)
        for outcome in finished.outcomes:
            if outcome.answer:
                self._output.counts.new_tokens += outcome.answer.new_tokens
        why = [] if decision.judgement and decision.judgement.verdict == FAIL else _not_whole(row)
        # A pass of what the lines show, and they do not show all that lies in the group.
        unseen = f"未查看: {told_left_out(row.meta.left_out)}" if why else ""
        if decision.why is not None:
            bad = _coded(decision.why)
            bad = replace(bad, message=f"{unseen}; {bad.message}") if why else bad
            self._record_bad(row, bad, [*why, bad.code])
        elif why:
            bad = Bad(why[0], f"{PASS}, 但{unseen}", 1, decision.answer)
            self._record_bad(row, bad, why)
        else:
            self._write(_group(row), decision.judgement, decision.answer, _rests_on(row), [])

    def undecided(
        self, group: Group, reason: str, why: Sequence[str], inputs: str | None = None
    ) -> None:
        """Write that a group cannot be decided yet."""
        failures = [failure_of(group, group.group_id, Bad(why[0], reason, 1))]
        self._output.add_failures(group.key, failures)
        self._write(group, None, None, inputs, why, reason)

    def _record_bad(self, row: SummaryRow, bad: Bad, why: Sequence[str]) -> None:
        group = _group(row)
        why = sorted(dict.fromkeys(why), key=_place)
        told = replace(bad, code=why[0])
        self._output.add_failures(group.key, [failure_of(group, group.group_id, told)])
        # An engine that gave no answer may give one next time: such a row rests on no lines.
        inputs = _rests_on(row) if bad.answer else None
        self._write(group, None, bad.answer, inputs, why, f"{bad.code}: {bad.message}")

    def _write(
        self,
        group: Group,
        judgement: Judgement | None,
        answer: Answer | None,
        inputs_hash: str | None,
        why: Sequence[str],
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
                why=list(why),
                answers={"verdict": answer_meta(answer)} if answer else {},
            ),
        )
        settled = judgement is not None
        self._output.add(row, group.key, settled=settled, inputs_hash=inputs_hash)


def _not_whole(row: SummaryRow) -> list[str]:
    """Give the code of a group that was not looked at whole, where it was not."""
    return [LEFT_OUT] if row.meta.left_out else []


def _coded(bad: Bad) -> Bad:
    """Give an answer that keeps no format the one code for that; its own goes into the message."""
    if bad.answer is None or bad.code in WHY:
        return bad
    return replace(bad, code=FORMAT, message=f"{bad.code}: {bad.message}")


def _place(code: str) -> int:
    return WHY.index(code) if code in WHY else len(WHY)


def _rests_on(row: SummaryRow) -> str:
    return rests_on(row.model_dump(mode="json"))


def _group(row: SummaryRow) -> Group:
    return Group(row.group_id, row.mission, row.label, ())
