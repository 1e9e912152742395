"""Dense captions over photos: one row for the photos that are looked at together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from shenhe.config import Template, Vocabulary
from shenhe.engines.base import Engine
from shenhe.errors import PhotoError
from shenhe.formats.caption import Coordinates, from_grouped, to_grouped
from shenhe.formats.caption_recovery import Recovery
from shenhe.intake import Photos
from shenhe.locations import location_text
from shenhe.overlays import is_drawn, overlay_path, write_overlay
from shenhe.row_types import CaptionFailure, CaptionMeta, CaptionRow, utc_now
from shenhe.rows.counts import RunCounts
from shenhe.rows.readers import read_captions
from shenhe.runs.drive import drive
from shenhe.runs.jobs import FinishedJob, Job, Rejection, Success
from shenhe.runs.observing import Observed
from shenhe.runs.options import RunOptions
from shenhe.runs.output import Output, open_output, rows_so_far
from shenhe.runs.progress import RunProgress
from shenhe.runs.stage_a import RunPlan, answer_meta, facts_of
from shenhe.stages import caption
from shenhe.values import photos_key


class Lists(Protocol):
    """Photos that are looked at together, as `intake.PhotoLists` has them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Photos]: ...


def draw_captions(rows_path: Path, folder: Path) -> tuple[int, list[PhotoError]]:
    """Draw the rows that have no overlay yet, or one of other objects.

    Gives how many photos were drawn, and what was wrong with those that could not be.
    Raises: RunError for rows of another form, or an overlay that cannot be written.
    """
    drawn, failures = 0, []
    for row in read_captions(rows_path):
        value = from_grouped(row.caption)
        for photo, objects in zip(row.photos, value.photos, strict=True):
            path = overlay_path(folder, photo, row.key)
            if is_drawn(objects, path):
                continue
            try:
                write_overlay(photo, objects, path)
            except PhotoError as error:
                failures.append(error)
            else:
                drawn += 1
    return drawn, failures


def plan_captions(lists: Lists, rows_path: Path, run: RunOptions) -> RunPlan:
    """Count what `run_captions` would do, without a model."""
    with closing(rows_so_far(rows_path, run)) as done:
        todo = list(islice((photos for photos in lists if _key(photos) not in done), run.limit))
        return RunPlan(len(todo), sum(map(len, todo)), len(done))


def run_captions(
    engine: Engine,
    lists: Lists,
    template: Template,
    rows_path: Path,
    *,
    options: dict[str, Any],
    run: RunOptions,
    coordinates: Coordinates = "norm1000",
    vocabulary: Vocabulary | None = None,
    max_new_tokens: int = caption.MAX_NEW_TOKENS,
    passed_over: Mapping[str, int] | None = None,
    faults: Iterable[str] = (),
) -> RunCounts:
    """Write the caption of every list of photos that has none yet.

    `passed_over` counts what was named and is not among the lists, by why, for the manifest;
    `faults` names what could not be looked at.

    Raises: RunError, EngineError; what was written stays valid.
    """
    counts = RunCounts(faults=list(faults))
    counts.passed_over.update(passed_over or {})
    decisive = options | {
        "stage": "caption",
        "prompt_hash": template.hash(),
        "checkpoint": engine.fingerprint,
        "coordinates": coordinates,
        "max_new_tokens": max_new_tokens,
        "max_attempts": run.max_attempts,
    }
    if vocabulary is not None:
        decisive["vocabulary"] = vocabulary.hash
    ask = partial(
        caption.request,
        template=template,
        max_new_tokens=max_new_tokens,
        coordinates=coordinates,
        vocabulary=vocabulary,
    )
    title = "captions"
    with (
        open_output(rows_path, decisive, run, counts) as output,
        RunProgress(title, run.up_to(len(lists), counts), counts, "photos", "captions") as bar,
        Observed(run.observers, title, counts, len(lists)) as observed,
    ):
        output.expect(len(lists))
        todo = (photos for photos in lists if _key(photos) not in output.done)
        jobs = (Job(photos, (ask(_key(photos), photos),)) for photos in islice(todo, run.limit))
        read = partial(caption.read, coordinates=coordinates)
        for finished in drive(engine, jobs, read, run.max_attempts, ordered=run.ordered):
            _record(output, finished, template.hash(), engine.fingerprint)
            bar.update()
            observed.finished(finished)
    return counts


def _record(
    output: Output, finished: FinishedJob[Photos, Recovery], prompt_hash: str, checkpoint: str
) -> None:
    photos, (outcome,) = finished.item, finished.outcomes
    images = [location_text(path) for path in photos]
    counts = output.counts
    counts.photos += len(photos)
    if outcome.answer:
        counts.new_tokens += outcome.answer.new_tokens
        counts.note_damage(outcome.answer.sizes)
    if isinstance(outcome, Rejection):
        counts.failed += 1
        output.add_failures(photos_key(images), [_failure(images, outcome)])
        return
    found = outcome.value
    counts.repairs.update(repair.kind for repair in found.repairs)
    output.add(_row(images, outcome, prompt_hash, checkpoint), photos_key(images))


def _row(
    images: list[str], good: Success[Recovery], prompt_hash: str, checkpoint: str
) -> CaptionRow:
    answer, found = good.answer, good.value
    return CaptionRow(
        images=images,
        caption=to_grouped(found.caption),
        sizes_wh=[size.original_wh for size in answer.sizes],
        raw=answer.text,
        repairs=[str(repair) for repair in found.repairs],
        timestamp=utc_now(),
        meta=CaptionMeta(
            prompt_hash=prompt_hash,
            checkpoint=checkpoint,
            answers={"caption": answer_meta(answer, of_one_photo=len(images) == 1)},
            truncated=found.truncated,
            resized_wh=[size.resized_wh for size in answer.sizes],
            facts=[facts_of(size) for size in answer.sizes],
        ),
    )


def _failure(images: list[str], bad: Rejection) -> CaptionFailure:
    return CaptionFailure(
        item=", ".join(images),
        images=images,
        code=bad.code,
        message=bad.message,
        raw=bad.answer.text if bad.answer else None,
        attempts=bad.attempts,
        timestamp=utc_now(),
    )


def _key(photos: Photos) -> str:
    return photos_key([location_text(path) for path in photos])
