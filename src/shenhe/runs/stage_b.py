"""Stage-B over Stage-A rows: OUT/<mission>.jsonl, one verdict a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from shenhe.config import Mission, Missions, Template
from shenhe.config.missions import normalize_name
from shenhe.engines.base import Engine
from shenhe.errors import RunError, spelled
from shenhe.locations import location_text
from shenhe.row_types import SummaryRow
from shenhe.rows.counts import RunCounts
from shenhe.rows.duplicates import DuplicateFinder, DuplicateRows
from shenhe.rows.fields import label_of
from shenhe.rows.keys import failures_file, key_of, rows_file
from shenhe.rows.ledger import Json, read_rows
from shenhe.rows.row_index import RowIndex
from shenhe.rows.torn import count_torn_bytes
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.drive import drive
from shenhe.runs.observing import Observed
from shenhe.runs.options import RunOptions
from shenhe.runs.output import Output, open_output, rows_so_far
from shenhe.runs.progress import RunProgress
from shenhe.runs.stage_a import RunPlan
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.verdict_rows import VerdictWriter
from shenhe.shards import list_rows_files
from shenhe.stages import verdict
from shenhe.values import LEFT_OUT, STAGE_A_INCOMPLETE, Group

UNSURE: Final = "not as sure as is asked, which an older version let stand"
_MAKE_WHOLE: Final = "have the `shenhe summarize` that wrote it go on, then run this again"


class Compared(NamedTuple):
    """How many groups Stage-A knows, and whose verdicts rest on other lines than it has now.

    `repeated` are the groups that have several rows.
    """

    groups: int
    stale: set[str]
    repeated: Mapping[str, DuplicateRows]


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
    paths = list_rows_files(source) if source.is_dir() else [source]
    if not paths or not paths[0].is_file():
        raise RunError(f"{spelled('stage_a', source)}: no rows there; run `shenhe summarize` first")
    found = []
    for path in paths:
        first = next(read_rows(path), None) or next(read_rows(failures_file(path)), None)
        if first is not None:
            found.append(StageA(missions.get(str(first.get("mission"))), path))
        elif torn := count_torn_bytes(path):
            raise RunError(f"{path}: holds no whole row, and {torn} bytes of one: {_MAKE_WHOLE}")
    return found


def plan_verdicts(
    source: StageA, output_dir: Path, run: RunOptions, policy: VerdictPolicy | None = None
) -> RunPlan:
    """Count what `run_verdicts` would do, without a model."""
    path = rows_file(output_dir, source.mission.name)
    with closing(rows_so_far(path, run)) as done:
        found = _compare(source, done)
        unsure = set() if run.restart else _unsure(path, policy) - found.stale
        already = len(done) - len(found.stale) - len(unsure)
    todo = found.groups - already
    groups = min(todo, run.limit) if run.limit is not None else todo
    return RunPlan(groups, groups, already)


def run_verdicts(
    engine: Engine,
    source: StageA,
    template: Template,
    output_dir: Path,
    *,
    options: dict[str, Any],
    run: RunOptions,
    max_new_tokens: int = verdict.MAX_NEW_TOKENS,
    policy: VerdictPolicy | None = None,
) -> RunCounts:
    """Write the verdict of every group that has none, or has one on other lines than now.

    A group whose Stage-A is not complete, one that has several rows with other lines, one that was
    not looked at whole, and one whose verdict cannot be read, is undecided.
    Raises: RunError, EngineError; what was written stays valid.
    """
    mission = source.mission
    counts = RunCounts()
    prompt_hash = template.hash(mission)
    policy = policy or VerdictPolicy()
    decisive = options | policy.decisive_options
    decisive |= {
        "stage": "judge",
        "stage_a": location_text(source.path.absolute()),
        "mission": mission.name,
        "prompt_hash": prompt_hash,
        "checkpoint": engine.fingerprint,
        "max_new_tokens": max_new_tokens,
        "max_attempts": run.max_attempts,
    }
    path = rows_file(output_dir, mission.name)
    groups = 0
    repeated: Mapping[str, DuplicateRows] = {}

    if count_torn_bytes(source.path):
        counts.faults.append(f"{source.path}: ends in the middle of a row: {_MAKE_WHOLE}")

    def stale(done: RowIndex) -> set[str]:
        nonlocal groups, repeated
        groups, old, repeated = _compare(source, done)
        unsure = _unsure(path, policy) - old
        counts.done_anew.update({UNSURE: len(unsure)} if unsure else {})
        return old | unsure

    title = f"Stage-B {mission.name}"
    with (
        open_output(path, decisive, run, counts, stale) as output,
        RunProgress(title, run.up_to(groups, counts), counts, "groups") as bar,
        Observed(run.observers, title, counts, groups) as observed,
    ):
        output.expect(groups)
        writer = VerdictWriter(output, prompt_hash, engine.fingerprint, policy)
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


def _unsure(path: Path, policy: VerdictPolicy | None) -> set[str]:
    """Find the verdicts that are not as sure as is asked, where anything is."""
    if policy is None or not policy.decisive_options:
        return set()
    return {key_of(row) for row in read_rows(path) if not policy.accepts(row)}


def _compare(source: StageA, done: RowIndex) -> Compared:
    """Compare the lines of each group with those that its verdict rests on."""
    without_lines = {key for key, _ in _keyed(failures_file(source.path))}
    groups = known = 0
    stale: set[str] = set()
    repeats = DuplicateFinder()
    for key, row in _keyed(source.path):
        repeats.add(key)
        without_lines.discard(key)
        groups += 1
        if key in done:
            known += 1
            if done.inputs_hash(key) != hash_inputs(row):
                stale.add(key)
    repeated = repeats.find(source.path, key_of, hash_inputs)
    for key, rows in repeated.items():  # counted row by row so far
        groups -= len(rows.rows) - 1
        if key in done:
            known -= len(rows.rows) - 1
            stale.discard(key)
            if done.inputs_hash(key) != rows.inputs_hash:
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


def _keyed(path: Path) -> Iterator[tuple[str, Json]]:
    """Yield rows with their keys.

    Raises: RunError that names the file of a row that has none.
    """
    for row in read_rows(path):
        try:
            key = key_of(row)
        except RunError as error:
            raise RunError(f"{path}: not a Stage-A row: {error}") from error
        yield key, row


def _summaries(
    source: StageA, done: RowIndex, repeated: Mapping[str, DuplicateRows]
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
        if normalize_name(summary_row.mission) != normalize_name(source.mission.name):
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
        group = Group(str(row["group_id"]), str(row["mission"]), label_of(row), ())
        _, codes, items = failed.setdefault(group.key, (group, [STAGE_A_INCOMPLETE], []))
        if row.get("code") == LEFT_OUT:
            codes.append(LEFT_OUT)
            items.append(str(row.get("message")))
        else:
            items.append(f"{Path(str(row.get('item'))).name} ({row.get('code')})")
    for group, codes, items in failed.values():
        yield group, codes, ", ".join(items)
