"""Jobs as cells of tables: their photos and results as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row as Cells

from shenhe.errors import RunError, UsageError
from shenhe.locations import is_utf8, locate, location_text
from shenhe.messages import PhotoFacts
from shenhe.row_types import Failure, Row, SummaryRow, VerdictRow, describe_invalid
from shenhe.service.jobs import Job, JobResult, NewJob, StoredPhoto
from shenhe.service.tables import RANKS
from shenhe.team.judgement_tables import digest_key
from shenhe.values import group_key

_LANES: Final = {rank: lane for lane, rank in RANKS.items()}
Value = TypeVar("Value")


class PhotoCell(Row):
    """A photo of a job, as its cell has it."""

    location: str
    name: str
    content_hash: str
    size: int
    facts: PhotoFacts = PhotoFacts()
    problem: str = ""


class ResultCell(Row):
    """The rows of a job, as its cell has them."""

    verdict: VerdictRow
    summary: SummaryRow | None = None
    failures: tuple[Failure, ...] = ()


_PHOTOS: Final = TypeAdapter(list[PhotoCell])
_RESULT: Final = TypeAdapter(ResultCell)


def digest_group(mission: str, group_id: str) -> str:
    """Give what stands for a group in an index."""
    return digest_key(group_key(mission, None, group_id))


def check_texts(new: NewJob) -> None:
    """Refuse names that not every database can hold.

    Raises: UsageError.
    """
    for text in (new.mission, new.group_id, new.contents, new.submitted_by, new.callback):
        if not is_utf8(text) or "\0" in text:
            raise UsageError(f"{text!r}: a zero byte or what is no UTF-8 stands in no name")


def new_cells(new: NewJob) -> dict[str, object]:
    """Write what is handed in as cells."""
    return {
        "mission": new.mission,
        "group_id": new.group_id,
        "label": new.label,
        "group_digest": digest_group(new.mission, new.group_id),
        "contents": new.contents,
        "photos": write_photos(new.photos),
        "has_photos": True,
        "size": sum(photo.size for photo in new.photos),
        "rank": RANKS[new.lane],
        "submitted_by": new.submitted_by,
        "callback": new.callback,
    }


def photo_cells(photo: StoredPhoto) -> dict[str, object]:
    """Write a photo as cells of its own, by which it is looked up."""
    return {
        "path": location_text(photo.location),
        "content_hash": photo.content_hash,
        "look": photo.facts.perceptual_hash,
    }


def write_photos(photos: Sequence[StoredPhoto]) -> str:
    """Write photos as JSON."""
    cells = [
        PhotoCell(
            location=location_text(photo.location),
            name=_as_utf8(photo.name),
            content_hash=photo.content_hash,
            size=photo.size,
            facts=photo.facts,
            problem=_as_utf8(photo.problem),
        )
        for photo in photos
    ]
    return _PHOTOS.dump_json(cells, exclude_defaults=True).decode()


def write_result(result: JobResult) -> str:
    """Write the rows of a job as JSON."""
    cell = ResultCell(verdict=result.verdict, summary=result.summary, failures=result.failures)
    return cell.to_json()


def read_job(row: Cells[tuple[object, ...]], source: str) -> Job:
    """Read a job from the cells of its row; `source` names the database.

    Raises: RunError for a cell that is damaged.
    """
    photos = tuple(
        StoredPhoto(locate(p.location), p.name, p.content_hash, p.size, p.facts, p.problem)
        for p in _read(_PHOTOS, row.photos, row.id, source)
    )
    new = NewJob(
        mission=row.mission,
        group_id=row.group_id,
        photos=photos,
        contents=row.contents,
        lane=_LANES[row.rank],
        submitted_by=row.submitted_by,
        callback=row.callback,
        label=row.label,
    )
    result = _read(_RESULT, row.result, row.id, source) if row.result is not None else None
    return Job(
        id=row.id,
        number=row.number,
        version=row.version,
        state=row.state,
        new=new,
        submitted_at=row.submitted_at,
        finished_at=row.finished_at,
        result=JobResult(result.verdict, result.summary, result.failures) if result else None,
        problem=row.problem,
        attempts=row.attempts,
        is_current=row.is_current,
    )


def _read(kind: TypeAdapter[Value], cell: object, job_id: str, source: str) -> Value:
    try:
        return kind.validate_json(str(cell))
    except ValidationError as error:
        raise RunError(f"{source}: job {job_id} is damaged: {describe_invalid(error)}") from error


def _as_utf8(text: str) -> str:
    """Write bytes that are no UTF-8 as signs that say so."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
