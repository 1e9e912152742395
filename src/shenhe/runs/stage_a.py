"""Stage-A over a photo tree: OUT/<mission>.jsonl, one row a group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from shenhe.config import Mission, Template
from shenhe.engines.base import Engine
from shenhe.intake import PhotoTree
from shenhe.intake.fingerprints import with_fingerprints
from shenhe.locations import absolute, location_text
from shenhe.messages import Answer, PhotoSize
from shenhe.row_types import AnswerMeta, Failure, PhotoFacts, RunMeta, SummaryRow, utc_now
from shenhe.rows.counts import RunCounts
from shenhe.rows.keys import rows_file
from shenhe.rows.row_index import RowIndex
from shenhe.runs.changes import changes, drop_gone_failures
from shenhe.runs.drive import drive
from shenhe.runs.jobs import FinishedJob, Job, Rejection, Success
from shenhe.runs.observing import Observed
from shenhe.runs.options import RunOptions
from shenhe.runs.output import Output, open_output, rows_so_far
from shenhe.runs.progress import RunProgress
from shenhe.stages import summary
from shenhe.values import Group, LeftOut, photo_key

NAMED = 10
"""So many files that were left out are named in one line."""


class _Settled:
    """The keys that have a row which still stands."""

    def __init__(self, done: RowIndex, stale: set[str]) -> None:
        self._done, self._stale = done, stale

    def __contains__(self, key: object) -> bool:
        return key in self._done and key not in self._stale


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would do. Counts of groups, and of their photos or lines."""

    groups: int
    items: int
    already: int


def plan_summaries(tree: PhotoTree, mission: Mission, output_dir: Path, run: RunOptions) -> RunPlan:
    """Count what `run_summaries` would do, without a model."""
    path = rows_file(output_dir, mission.name)
    groups = items = 0
    with closing(rows_so_far(path, run)) as done:
        stale = changes(tree, mission, path, done).stale
        todo = tree.groups(mission, skip=_Settled(done, stale))
        for group in islice(todo, run.limit):
            groups += 1
            items += len(group.photos)
        return RunPlan(groups, items, len(done) - len(stale))


def run_summaries(
    engine: Engine,
    tree: PhotoTree,
    mission: Mission,
    template: Template,
    output_dir: Path,
    *,
    options: dict[str, Any],
    run: RunOptions,
    max_new_tokens: int = summary.MAX_NEW_TOKENS,
) -> RunCounts:
    """Write the line of every photo of every group that has no row yet, or has changed since.

    A group with a photo that failed gets no row, but a failure for each such photo. One that holds
    what may be a photo and is not read gets a row that names it, and a failure `left_out`.
    Raises: RunError, EngineError, IntakeError; what was written stays valid.
    """
    counts = RunCounts()
    prompt_hash = template.hash(mission)
    decisive = options | {
        "stage": "summarize",
        "data_root": location_text(absolute(tree.data_root)),
        "mission": mission.name,
        "prompt_hash": prompt_hash,
        "checkpoint": engine.fingerprint,
        "max_new_tokens": max_new_tokens,
        "max_attempts": run.max_attempts,
    }
    path = rows_file(output_dir, mission.name)
    total = tree.count_groups(mission)
    title = f"Stage-A {mission.name}"

    def stale(done: RowIndex) -> set[str]:
        drop_gone_failures(tree, mission, path)
        found = changes(tree, mission, path, done)
        counts.done_anew, counts.kept_as_is = found.done_anew, found.kept_as_is
        return found.stale

    with (
        open_output(path, decisive, run, counts, stale) as output,
        RunProgress(title, run.up_to(total, counts), counts, "photos") as bar,
        Observed(run.observers, title, counts, total) as observed,
    ):
        output.expect(total)
        todo = tree.groups(mission, counts.passed_over, output.done, counts.faults)
        jobs = _jobs(islice(todo, run.limit), mission, template, max_new_tokens, output)
        for finished in drive(engine, jobs, summary.read, run.max_attempts, ordered=run.ordered):
            _record(output, finished, prompt_hash, engine.fingerprint)
            bar.update()
            observed.finished(finished)
    return counts


def answer_meta(answer: Answer, *, of_one_photo: bool = True) -> AnswerMeta:
    """Keep of an answer what a row needs to be explained later."""
    # Of a Stage-A question the last photo is the one asked about: before it are examples.
    size = answer.sizes[-1] if answer.sizes and of_one_photo else None
    return AnswerMeta(
        raw=answer.text,
        finish_reason=answer.finish_reason,
        attempts=answer.attempt + 1,
        prompt_tokens=answer.prompt_tokens,
        new_tokens=answer.new_tokens,
        original_wh=size.original_wh if size else None,
        resized_wh=size.resized_wh if size else None,
        facts=facts_of(size) if size else None,
    )


def facts_of(size: PhotoSize) -> PhotoFacts:
    """Give what a row tells of a photo itself."""
    return PhotoFacts(damaged_inside=size.damaged_inside or None)


def failure_of(group: Group, item: str, bad: Rejection) -> Failure:
    """Describe what failed."""
    return Failure(
        item=item,
        group_id=group.group_id,
        mission=group.mission,
        label=group.label,
        code=bad.code,
        message=bad.message,
        raw=bad.answer.text if bad.answer else None,
        attempts=bad.attempts,
        timestamp=utc_now(),
    )


def _jobs(
    groups: Iterator[Group],
    mission: Mission,
    template: Template,
    max_new_tokens: int,
    output: Output,
) -> Iterator[Job[Group]]:
    for group, inputs in with_fingerprints(groups):
        requests = tuple(
            summary.request(
                f"{group.key}\x1f{photo_key(index)}", photo, mission, template, max_new_tokens
            )
            for index, photo in enumerate(group.photos)
        )
        if requests:
            yield Job(replace(group, inputs=inputs), requests)
        else:
            bad = Rejection("no_photos", f"group {group.group_id} has no photo", 1)
            if group.problem:
                bad = Rejection(group.code, group.problem, 1)
            failures = [failure_of(group, group.group_id, bad), *_left_out(group)]
            output.add_failures(group.key, failures)
            output.counts.failed += 1


def _left_out(group: Group) -> list[Failure]:
    """Describe what may be a photo in a group's folder, and was not looked at."""
    if not group.left_out:
        return []
    bad = Rejection("left_out", f"not looked at: {describe_left_out(group.left_out)}", 1)
    return [failure_of(group, group.group_id, bad)]


def describe_left_out(left_out: Sequence[LeftOut]) -> str:
    """Name what was left out, the first few of many."""
    told = [f"{one.path} ({one.kind})" for one in left_out[:NAMED]]
    told += [f"{len(left_out) - NAMED} more"] if len(left_out) > NAMED else []
    return ", ".join(told)


def _record(
    output: Output, finished: FinishedJob[Group, str], prompt_hash: str, checkpoint: str
) -> None:
    group = finished.item
    counts = output.counts
    answers = [outcome.answer for outcome in finished.outcomes if outcome.answer]
    counts.photos += len(finished.outcomes)
    counts.new_tokens += sum(answer.new_tokens for answer in answers)
    # Of a Stage-A question the last photo is the one asked about: before it are examples.
    counts.note_damage(answer.sizes[-1] for answer in answers if answer.sizes)
    failures = [
        failure_of(group, location_text(photo), outcome)
        for photo, outcome in zip(group.photos, finished.outcomes, strict=True)
        if isinstance(outcome, Rejection)
    ]
    left_out = _left_out(group)
    if failures:
        output.add_failures(group.key, [*failures, *left_out])
        counts.failed += 1
        return
    if left_out:  # before the row: killed in between, the group is done again
        output.add_failures(group.key, left_out)
    good = [outcome for outcome in finished.outcomes if isinstance(outcome, Success)]
    row = SummaryRow(
        group_id=group.group_id,
        mission=group.mission,
        label=group.label,
        images=[location_text(photo) for photo in group.photos],
        per_image={photo_key(index): outcome.value for index, outcome in enumerate(good)},
        timestamp=utc_now(),
        meta=RunMeta(
            prompt_hash=prompt_hash,
            checkpoint=checkpoint,
            inputs_hash=group.inputs,
            left_out=list(group.left_out),
            why=["left_out"] if left_out else [],
            answers={
                photo_key(index): answer_meta(outcome.answer) for index, outcome in enumerate(good)
            },
        ),
    )
    output.add(row, group.key, settled=not left_out, inputs_hash=group.inputs)
