"""Stage-A over a photo tree: OUT/<mission>.jsonl, one row a group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from shenhe.config import Mission, Template
from shenhe.engines.base import Engine
from shenhe.intake import PhotoTree
from shenhe.locations import absolute
from shenhe.records import (
    Answer,
    AnswerMeta,
    Failure,
    Group,
    PhotoFacts,
    PhotoSize,
    RunMeta,
    SummaryRow,
    photo_key,
    utc_now,
)
from shenhe.runs.drive import Bad, Finished, Good, Job, drive
from shenhe.runs.observing import Observed
from shenhe.runs.outcome import RunCounts, RunOptions
from shenhe.runs.output import Output, open_output, rows_file, rows_so_far
from shenhe.runs.progress import RunProgress
from shenhe.stages import summary


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do. Counts of groups, and of their photos or lines."""

    groups: int
    items: int
    already: int


def plan_summaries(tree: PhotoTree, mission: Mission, output_dir: Path, run: RunOptions) -> Plan:
    """Count what `run_summaries` would do, without a model."""
    path = rows_file(output_dir, mission.name)
    groups = items = 0
    with closing(rows_so_far(path, run)) as done:
        for group in islice(tree.groups(mission, skip=done), run.limit):
            groups += 1
            items += len(group.photos)
        return Plan(groups, items, len(done))


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
    """Write the line of every photo of every group that has no row yet.

    A group with a photo that failed gets no row, but a failure for each such photo.
    Raises: RunError, EngineError, IntakeError; what was written stays valid.
    """
    counts = RunCounts()
    prompt_hash = template.hash(mission)
    decisive = options | {
        "stage": "summarize",
        "data_root": str(absolute(tree.data_root)),
        "mission": mission.name,
        "prompt_hash": prompt_hash,
        "checkpoint": engine.fingerprint,
        "max_new_tokens": max_new_tokens,
        "max_attempts": run.max_attempts,
    }
    path = rows_file(output_dir, mission.name)
    total = tree.count(mission)
    title = f"Stage-A {mission.name}"
    with (
        open_output(path, decisive, run, counts) as output,
        RunProgress(title, run.up_to(total, counts), counts, "photos") as bar,
        Observed(run.observers, title, counts, total) as observed,
    ):
        output.expect(total)
        todo = tree.groups(mission, counts.passed_over, output.done)
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


def failure_of(group: Group, item: str, bad: Bad) -> Failure:
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
    for group in groups:
        requests = tuple(
            summary.request(
                f"{group.key}\x1f{photo_key(index)}", photo, mission, template, max_new_tokens
            )
            for index, photo in enumerate(group.photos)
        )
        if requests:
            yield Job(group, requests)
        else:
            bad = Bad("no_photos", f"group {group.group_id} has no photo", 1)
            if group.problem:
                bad = Bad("unreadable", group.problem, 1)
            output.add_failures(group.key, [failure_of(group, group.group_id, bad)])
            output.counts.failed += 1


def _record(
    output: Output, finished: Finished[Group, str], prompt_hash: str, checkpoint: str
) -> None:
    group = finished.item
    counts = output.counts
    answers = [outcome.answer for outcome in finished.outcomes if outcome.answer]
    counts.photos += len(finished.outcomes)
    counts.new_tokens += sum(answer.new_tokens for answer in answers)
    # Of a Stage-A question the last photo is the one asked about: before it are examples.
    counts.note_damage(answer.sizes[-1] for answer in answers if answer.sizes)
    failures = [
        failure_of(group, str(photo), outcome)
        for photo, outcome in zip(group.photos, finished.outcomes, strict=True)
        if isinstance(outcome, Bad)
    ]
    if failures:
        output.add_failures(group.key, failures)
        counts.failed += 1
        return
    good = [outcome for outcome in finished.outcomes if isinstance(outcome, Good)]
    row = SummaryRow(
        group_id=group.group_id,
        mission=group.mission,
        label=group.label,
        images=[str(photo) for photo in group.photos],
        per_image={photo_key(index): outcome.value for index, outcome in enumerate(good)},
        timestamp=utc_now(),
        meta=RunMeta(
            prompt_hash=prompt_hash,
            checkpoint=checkpoint,
            answers={
                photo_key(index): answer_meta(outcome.answer) for index, outcome in enumerate(good)
            },
        ),
    )
    output.add(row, group.key)
