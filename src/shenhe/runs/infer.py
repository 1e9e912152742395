"""Answers to the rows of a dataset: one request a row, as `swift infer --val_dataset` asks it."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shenhe.config import Template
from shenhe.engines.base import Engine
from shenhe.errors import FormatError, RunError
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.intake.datasets import BadRow, DatasetRow
from shenhe.intake.dialogues import Dialogue, Turn, messages_of
from shenhe.intake.inline_photos import find_photo, store_photo
from shenhe.locations import Location, location_text
from shenhe.messages import IMAGE_TAG, Answer, ImagePart, Message, Request
from shenhe.row_types import utc_now
from shenhe.rows.counts import RunCounts
from shenhe.rows.keys import failures_file
from shenhe.rows.ledger import read_rows, rewrite
from shenhe.rows.responses import (
    ResponseFailure,
    ResponseMeta,
    ResponseRow,
    SwiftImage,
    SwiftMessage,
)
from shenhe.rows.row_formats import formats_meta
from shenhe.rows.row_index import RowIndex
from shenhe.runs.row_parts import answer_meta, reason_fields
from shenhe.runs.run import OutputSpec, RunOptions, RunPlan, plan
from shenhe.runs.run import run as run_work
from shenhe.runs.work import Backlog, FinishedJob, Job, Record, Rejection, StaleRows, Success, Work
from shenhe.stages import caption

NOT_IN_DATASET = "rows that are not in the dataset"
CHANGED = "rows that have changed in the dataset"


class DatasetBacklog(Backlog[DatasetRow]):
    """The rows of a dataset that need an answer, or another one than they have."""

    def __init__(self, dataset: Iterable[DatasetRow]) -> None:
        super().__init__()
        self._dataset, self.total = dataset, 0
        self._ids: set[str] = set()

    def pending(self, done: Container[str]) -> Iterator[DatasetRow]:
        """Yield the rows whose id is not in `done`, also lines that are no rows."""
        return (row for row in self._dataset if row.id not in done)

    def size(self, item: DatasetRow) -> int:
        """Number of photos of a row."""
        return len(item.content.photos) if isinstance(item.content, Dialogue) else 0

    def find_stale(self, rows_path: Path, done: RowIndex) -> StaleRows:
        """Find the answers to rows that have changed; those of other datasets are kept."""
        stale: dict[str, str] = {}
        for row in self._dataset:
            self._ids.add(row.id)
            if row.id in done and done.inputs_hash(row.id) != _hash_of(row):
                stale[row.id] = row.dataset
        self.total = len(self._ids)
        _refuse_other_datasets(rows_path, stale)
        foreign = sum(key not in self._ids for key in done.keys())  # noqa: SIM118 - no mapping
        redone = Counter({CHANGED: len(stale)} if stale else {})
        return StaleRows(set(stale), redone, Counter({NOT_IN_DATASET: foreign} if foreign else {}))

    def drop_obsolete_failures(self, rows_path: Path) -> None:
        """Drop the failures of rows that are gone, or have another id by now."""
        path = failures_file(rows_path)
        if path.exists() and path.stat().st_size:
            ids = {row.id for row in self._dataset}
            rewrite(path, lambda row: row.get("id") in ids)


@dataclass(frozen=True, slots=True)
class Question:
    """A row of a dataset with the photos that it names, found or stored."""

    row: DatasetRow
    dialogue: Dialogue
    photos: tuple[Location, ...]
    messages: tuple[Message, ...]


class InferWork(Work[DatasetRow, str]):
    """One request a row; any text is an answer."""

    title = "infer"
    rate_unit = "rows"
    item_unit = "rows"

    def __init__(
        self,
        backlog: DatasetBacklog,
        system: str,
        template: Template,
        max_new_tokens: int,
        checkpoint: str,
        photos_folder: Path,
        formats: TextFormats = PLAIN,
    ) -> None:
        self.backlog, self._formats = backlog, formats
        self._system, self._template = system, template
        self._max_new_tokens, self._checkpoint = max_new_tokens, checkpoint
        self._photos_folder = photos_folder
        self._questions: dict[str, Question] = {}

    def decisive_options(self) -> dict[str, object]:
        """The system prompt of rows that have none, the checkpoint, the limit of an answer."""
        return {
            "stage": "infer",
            "system": self._system,
            "checkpoint": self._checkpoint,
            "max_new_tokens": self._max_new_tokens,
            **self._formats.decisive_options,
        }

    def jobs(self, items: Iterator[DatasetRow]) -> Iterator[Job[DatasetRow] | Record]:
        """Yield a job a row; a line that is no row is a failure."""
        for row in items:
            if isinstance(row.content, BadRow):
                yield _failed(row, Rejection(row.content.code, row.content.message, 1))
                continue
            try:
                question = self._question(row, row.content)
            except FormatError as error:
                yield _failed(row, Rejection(error.code, str(error), 1))
                continue
            self._questions[row.id] = question
            yield Job(row, (self._request(question),))

    def read(self, answer: Answer) -> str:
        """Take the text as it is."""
        return answer.text

    def record(self, job: FinishedJob[DatasetRow, str]) -> Record:
        """Make the row of an answer, or of its failure."""
        question, (outcome,) = self._questions.pop(job.item.id), job.outcomes
        if isinstance(outcome, Rejection):
            return _failed(job.item, outcome, len(question.photos))
        return Record(
            job.item.id,
            self._row(question, outcome),
            inputs_hash=_hash_of(job.item),
            photos=len(question.photos),
            sizes=outcome.answer.sizes,
        )

    def _question(self, row: DatasetRow, dialogue: Dialogue) -> Question:
        """Find the photos of a row, and write down those that stand in it as bytes."""
        photos = tuple(
            find_photo(photo, row.location, os.environ)
            if isinstance(photo, str)
            else store_photo(photo, self._photos_folder)
            for photo in dialogue.photos
        )
        if not dialogue.turns:
            messages = self._caption_request(row.id, photos).messages
            return Question(row, dialogue, photos, messages)
        turns = dialogue.turns
        if self._system and turns[0].role != "system":
            turns = (Turn("system", self._system), *turns)
        return Question(row, dialogue, photos, messages_of(turns, photos))

    def _request(self, question: Question) -> Request:
        if not question.dialogue.turns:
            return self._caption_request(question.row.id, question.photos)
        return Request(question.row.id, question.messages, self._max_new_tokens)

    def _caption_request(self, key: str, photos: tuple[Location, ...]) -> Request:
        return caption.request(
            key, photos, self._template, self._max_new_tokens, form=self._formats.caption
        )

    def _row(self, question: Question, success: Success[str]) -> ResponseRow:
        answer, row, dialogue = success.answer, question.row, question.dialogue
        messages = [SwiftMessage(role=turn.role, content=turn.text) for turn in dialogue.turns]
        if not messages:
            messages = [SwiftMessage(role=m.role, content=_tagged(m)) for m in question.messages]
        names = [
            name if isinstance(name, str) else location_text(photo)
            for name, photo in zip(dialogue.photos, question.photos, strict=True)
        ]
        return ResponseRow(
            id=row.id,
            response=success.value,
            labels=dialogue.label,
            messages=[*messages, SwiftMessage(role="assistant", content=success.value)],
            images=[SwiftImage(path=name) for name in names] or None,
            dataset=row.dataset,
            line=row.line,
            finish_reason=answer.finish_reason,
            sizes_wh=[size.original_wh for size in answer.sizes],
            timestamp=utc_now(),
            meta=ResponseMeta(
                prompt_hash=_short_hash(self._system),
                checkpoint=self._checkpoint,
                inputs_hash=_hash_of(row),
                formats=formats_meta(self._formats),
                answers={"response": answer_meta(answer, of_one_photo=len(names) == 1)},
                resized_wh=[size.resized_wh for size in answer.sizes],
                facts=[size.facts for size in answer.sizes],
            ),
            extra=dict(dialogue.extra),
        )


def plan_infer(dataset: Iterable[DatasetRow], rows_path: Path, run: RunOptions) -> RunPlan:
    """Count what `run_infer` would do, without a model.

    Raises: RunError; IntakeError for a dataset that cannot be read.

        print(plan_infer(Dataset(["val.jsonl"]), Path("answers.jsonl"), RunOptions()).groups)
    """
    return plan(DatasetBacklog(dataset), OutputSpec(rows_path, run))


def run_infer(
    engine: Engine,
    dataset: Iterable[DatasetRow],
    template: Template,
    rows_path: Path,
    *,
    engine_options: Mapping[str, object],
    run: RunOptions,
    system: str = "",
    max_new_tokens: int = caption.MAX_NEW_TOKENS,
    formats: TextFormats = PLAIN,
) -> RunCounts:
    """Write the answer to every row of a dataset that has none, or has changed since.

    `system` is the system prompt of rows that bring none; `template` and `formats` are those of
    rows of photos alone. Photos that stand in a row as bytes are written to a folder beside them.
    Raises: RunError, EngineError; rows written so far stay valid.

        dataset, rows_path = Dataset(["val.jsonl"]), Path("answers.jsonl")
        run_infer(engine, dataset, load_prompts().caption, rows_path, engine_options={},
                  run=RunOptions())
    """
    folder = rows_path.with_suffix(".photos")
    backlog, checkpoint = DatasetBacklog(dataset), engine.fingerprint
    work = InferWork(backlog, system, template, max_new_tokens, checkpoint, folder, formats)
    return run_work(engine, work, OutputSpec(rows_path, run, engine_options), run.observers)


def _refuse_other_datasets(rows_path: Path, stale: Mapping[str, str]) -> None:
    """Refuse to replace answers to rows of another dataset, which have the ids of this one's.

    Raises: RunError.
    """
    for row in read_rows(rows_path) if stale else ():
        before, now = str(row.get("dataset")), stale.get(str(row.get("id")))
        if now is not None and Path(before).name != Path(now).name:
            raise RunError(
                f"{rows_path}: holds answers to rows of {before} with the ids that rows of {now}"
                " have: write these to another file"
            )


def _failed(row: DatasetRow, rejection: Rejection, photos: int = 0) -> Record:
    item = f"{row.dataset}: line {row.line}"
    failure = ResponseFailure(
        item=item, id=row.id, dataset=row.dataset, line=row.line, **reason_fields(rejection)
    )
    return Record(row.id, failures=[failure], photos=photos)


def _hash_of(row: DatasetRow) -> str | None:
    return row.content.hash if isinstance(row.content, Dialogue) else None


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _tagged(message: Message) -> str:
    """Write a message as ms-swift does: a tag where a photo stands."""
    return "".join(IMAGE_TAG if isinstance(part, ImagePart) else part for part in message.parts)
