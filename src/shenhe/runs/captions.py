"""Dense captions over photos: one row for the photos that are looked at together."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from shenhe.config import Template, Vocabulary
from shenhe.engines.base import Engine
from shenhe.errors import FormatError, PhotoError
from shenhe.formats.caption import from_grouped, to_grouped
from shenhe.formats.caption_fields import Coordinates
from shenhe.formats.caption_recovery import Recovery
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.intake import Photos
from shenhe.locations import location_text
from shenhe.messages import Answer, Request
from shenhe.overlays import is_drawn, overlay_path, write_overlay
from shenhe.row_types import CaptionFailure, CaptionMeta, CaptionRow, utc_now
from shenhe.rows.counts import RunCounts
from shenhe.rows.readers import read_captions
from shenhe.rows.row_formats import formats_meta
from shenhe.runs.row_parts import answer_meta, reason_fields
from shenhe.runs.run import OutputSpec, RunOptions, RunPlan, plan
from shenhe.runs.run import run as run_work
from shenhe.runs.work import Backlog, FinishedJob, Job, Record, Rejection, Success, Work
from shenhe.stages import caption
from shenhe.values import photos_key


class Lists(Protocol):
    """Lists of photos that are looked at together, such as `intake.PhotoLists`."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Photos]: ...


def draw_captions(rows_path: Path, folder: Path) -> tuple[int, list[PhotoError]]:
    """Draw the rows that have no overlay yet, or one of other objects.

    Returns the number of photos drawn, and the errors of those that could not be.
    Raises: RunError for rows that are no captions, or an overlay that cannot be written.
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


class PhotosBacklog(Backlog[Photos]):
    """The lists of photos that need a caption."""

    def __init__(
        self,
        lists: Lists,
        passed_over: Mapping[str, int] | None = None,
        faults: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._lists, self.total = lists, len(lists)
        self.passed_over.update(passed_over or {})
        self.faults.extend(faults)

    def pending(self, done: Container[str]) -> Iterator[Photos]:
        """Yield the lists whose key is not in `done`."""
        return (photos for photos in self._lists if photos_key(_images(photos)) not in done)

    def size(self, item: Photos) -> int:
        """Number of photos of a list."""
        return len(item)


class CaptionWork(Work[Photos, Recovery]):
    """One request a list of photos."""

    title = "captions"
    rate_unit = "photos"
    item_unit = "captions"

    def __init__(
        self,
        backlog: PhotosBacklog,
        template: Template,
        coordinates: Coordinates,
        vocabulary: Vocabulary | None,
        max_new_tokens: int,
        checkpoint: str,
        formats: TextFormats = PLAIN,
    ) -> None:
        self.backlog, self._formats = backlog, formats
        self._coordinates, self._vocabulary = coordinates, vocabulary
        self._max_new_tokens, self._checkpoint = max_new_tokens, checkpoint
        self._prompt_hash = template.hash()
        self._request = partial(
            caption.request,
            template=template,
            max_new_tokens=max_new_tokens,
            coordinates=coordinates,
            vocabulary=vocabulary,
            form=formats.caption,
        )

    def decisive_options(self) -> dict[str, object]:
        """The prompt, the checkpoint, the frame of coordinates and the vocabulary."""
        vocabulary = {} if self._vocabulary is None else {"vocabulary": self._vocabulary.hash}
        return {
            "stage": "caption",
            "prompt_hash": self._prompt_hash,
            "checkpoint": self._checkpoint,
            "coordinates": self._coordinates,
            "max_new_tokens": self._max_new_tokens,
            **vocabulary,
            **self._formats.decisive_options,
        }

    def jobs(self, items: Iterator[Photos]) -> Iterator[Job[Photos] | Record]:
        """Yield a job a list of photos."""
        for photos in items:
            images = _images(photos)
            key = photos_key(images)
            try:
                request: Request = self._request(key, photos)
            except FormatError as error:
                failure = _failure(images, Rejection(error.code, str(error), attempts=0))
                yield Record(key, failures=[failure], photos=len(images))
            else:
                yield Job(photos, (request,))

    def read(self, answer: Answer) -> Recovery:
        """Read a caption, repaired where necessary."""
        return caption.read(answer, self._coordinates, self._formats.caption)

    def record(self, job: FinishedJob[Photos, Recovery]) -> Record:
        """Make the row of a list of photos, or its failure."""
        images, (outcome,) = _images(job.item), job.outcomes
        key, photos = photos_key(images), len(images)
        sizes = outcome.answer.sizes if outcome.answer else ()
        if isinstance(outcome, Rejection):
            failure = _failure(images, outcome)
            return Record(key, failures=[failure], photos=photos, sizes=sizes)
        row = self._row(images, outcome)
        repairs = [repair.kind for repair in outcome.value.repairs]
        return Record(key, row, photos=photos, sizes=sizes, repairs=repairs)

    def _row(self, images: list[str], success: Success[Recovery]) -> CaptionRow:
        answer, recovery = success.answer, success.value
        return CaptionRow(
            images=images,
            caption=to_grouped(recovery.caption),
            sizes_wh=[size.original_wh for size in answer.sizes],
            raw=answer.text,
            repairs=[str(repair) for repair in recovery.repairs],
            timestamp=utc_now(),
            meta=CaptionMeta(
                prompt_hash=self._prompt_hash,
                checkpoint=self._checkpoint,
                formats=formats_meta(self._formats),
                answers={"caption": answer_meta(answer, of_one_photo=len(images) == 1)},
                truncated=recovery.truncated,
                resized_wh=[size.resized_wh for size in answer.sizes],
                facts=[size.facts for size in answer.sizes],
            ),
        )


def plan_captions(lists: Lists, rows_path: Path, run: RunOptions) -> RunPlan:
    """Count what `run_captions` would do, without a model.

    Raises: RunError.

        lists = PhotoLists([Path("photos")])
        print(plan_captions(lists, Path("captions.jsonl"), RunOptions()).items)
    """
    return plan(PhotosBacklog(lists), OutputSpec(rows_path, run))


def run_captions(
    engine: Engine,
    lists: Lists,
    template: Template,
    rows_path: Path,
    *,
    engine_options: Mapping[str, object],
    run: RunOptions,
    coordinates: Coordinates = "norm1000",
    vocabulary: Vocabulary | None = None,
    max_new_tokens: int = caption.MAX_NEW_TOKENS,
    passed_over: Mapping[str, int] | None = None,
    faults: Iterable[str] = (),
    formats: TextFormats = PLAIN,
) -> RunCounts:
    """Write the caption of every list of photos that has none yet.

    `passed_over` counts sources that are not among the lists, by reason, for the manifest; `faults`
    describes sources that could not be read.
    Raises: RunError, EngineError; rows written so far stay valid.

        lists, template = PhotoLists([Path("photos")]), load_prompts().caption
        run_captions(engine, lists, template, Path("c.jsonl"), engine_options={}, run=RunOptions())
    """
    backlog = PhotosBacklog(lists, passed_over, faults)
    work = CaptionWork(
        backlog, template, coordinates, vocabulary, max_new_tokens, engine.fingerprint, formats
    )
    return run_work(engine, work, OutputSpec(rows_path, run, engine_options), run.observers)


def _failure(images: list[str], rejection: Rejection) -> CaptionFailure:
    return CaptionFailure(item=", ".join(images), images=images, **reason_fields(rejection))


def _images(photos: Photos) -> list[str]:
    """Name photos as rows do."""
    return [location_text(path) for path in photos]
