"""Jobs as cells of tables: photos and results as JSON, paths of photos relative to DIR."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row as Cells

from shenhe.errors import UsageError
from shenhe.locations import Location, is_utf8, locate, location_text
from shenhe.messages import PhotoFacts
from shenhe.row_types import Failure, Row, SummaryRow, VerdictRow, describe_invalid
from shenhe.service.jobs import EmptyFolder, Job, JobResult, NewJob, StoredPhoto
from shenhe.service.tables import RANKS
from shenhe.team.judgement_tables import digest_key
from shenhe.values import LeftOut, group_key

_LANES: Final = {rank: lane for lane, rank in RANKS.items()}
PHOTOS_FOLDER: Final = "photos"
"""The folder in DIR of photos that clients hand in; paths in it are kept relative to DIR."""
Value = TypeVar("Value")


class PhotoCell(Row):
    """A photo of a job, as its cell has it."""

    location: str
    name: str
    content_hash: str
    size: int
    facts: PhotoFacts = PhotoFacts()
    problem: str = ""


class EmptyCell(Row):
    """Why a job has no photo, as its cell has it."""

    code: str
    problem: str
    left_out: tuple[LeftOut, ...] = ()


class ResultCell(Row):
    """The rows of a job, as its cell has them."""

    verdict: VerdictRow
    summary: SummaryRow | None = None
    failures: tuple[Failure, ...] = ()


_PHOTOS: Final = TypeAdapter[list[PhotoCell] | EmptyCell](list[PhotoCell] | EmptyCell)
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


class JobCells:
    """Writes jobs as cells, and reads them.

    Photos in DIR/photos are named relative to DIR, so that DIR may be moved, and be mounted
    elsewhere on another machine. A job with a damaged cell is read as one that failed: it alone,
    and with the reason.

    Example:
        cells = JobCells("data/service/jobs.sqlite", Path("data"))
        job = cells.read(row)

    """

    def __init__(self, source: str, data_dir: Path | None = None) -> None:
        """Name the database, for messages, and the folder of the service."""
        self._source = source
        self._root = f"{data_dir.absolute()}/" if data_dir else ""

    def of_new(self, new: NewJob) -> dict[str, object]:
        """Write what is handed in as cells."""
        return {
            "mission": new.mission,
            "group_id": new.group_id,
            "label": new.label,
            "group_digest": digest_group(new.mission, new.group_id),
            "contents": new.contents,
            "rank": RANKS[new.lane],
            "submitted_by": new.submitted_by,
            "callback": new.callback,
            **self.of_photos(new),
        }

    def of_photos(self, new: NewJob) -> dict[str, object]:
        """Write the photos of a job as cells of the job."""
        size = sum(photo.size for photo in new.photos)
        return {"photos": self._write_photos(new), "has_photos": True, "size": size}

    def of_photo(self, photo: StoredPhoto) -> dict[str, object]:
        """Write a photo as cells of its own, by which it is looked up."""
        return {
            "path": self.shorten(location_text(photo.location)),
            "content_hash": photo.content_hash,
            "look": photo.facts.perceptual_hash,
        }

    def of_result(self, result: JobResult) -> str:
        """Write the rows of a job as JSON."""
        cell = ResultCell(verdict=result.verdict, summary=result.summary, failures=result.failures)
        return _with_paths(cell, self.shorten).to_json()

    def read(self, row: Cells[tuple[object, ...]]) -> Job:
        """Read a job from the cells of its row; one with a damaged cell is one that failed."""
        try:
            return self._read(row)
        except ValidationError as error:
            return self._damaged(row, describe_invalid(error))
        except (ValueError, UsageError) as error:
            return self._damaged(row, str(error))

    def _read(self, row: Cells[tuple[object, ...]]) -> Job:
        new, result = self._read_new(row), None
        if row.state == "done":
            cell = _with_paths(_RESULT.validate_json(str(row.result)), self._lengthen)
            result = JobResult(cell.verdict, cell.summary, cell.failures)
        return _make_job(row, new, result)

    def _read_new(self, row: Cells[tuple[object, ...]]) -> NewJob:
        cell = _PHOTOS.validate_json(str(row.photos))
        if isinstance(cell, EmptyCell):
            return _make_new(row, (), EmptyFolder(cell.code, cell.problem, cell.left_out))
        photos = tuple(
            StoredPhoto(
                self._locate(p.location), p.name, p.content_hash, p.size, p.facts, p.problem
            )
            for p in cell
        )
        return _make_new(row, photos)

    def _damaged(self, row: Cells[tuple[object, ...]], problem: str) -> Job:
        """Make a job of which not all can be read; what it was is not guessed."""
        try:
            new = self._read_new(row)
        except (ValueError, UsageError):
            new = _make_new(row, ())
        told = f"its record in {self._source} is damaged: {problem}"
        return _make_job(row, new, None, damage=" ".join(told.split()))

    def _write_photos(self, new: NewJob) -> str:
        if new.empty is not None:
            empty = new.empty
            return EmptyCell(
                code=empty.code, problem=_as_utf8(empty.problem), left_out=empty.left_out
            ).to_json()
        cells = [
            PhotoCell(
                location=self.shorten(location_text(photo.location)),
                name=_as_utf8(photo.name),
                content_hash=photo.content_hash,
                size=photo.size,
                facts=photo.facts,
                problem=_as_utf8(photo.problem),
            )
            for photo in new.photos
        ]
        return _PHOTOS.dump_json(cells, exclude_defaults=True).decode()

    def shorten(self, path: str) -> str:
        """Name a photo in DIR/photos relative to DIR; any other one as it is."""
        is_own = self._root and path.startswith(f"{self._root}{PHOTOS_FOLDER}/")
        return path.removeprefix(self._root) if is_own else path

    def _lengthen(self, path: str) -> str:
        return f"{self._root}{path}" if path.startswith(f"{PHOTOS_FOLDER}/") else path

    def _locate(self, path: str) -> Location:
        return locate(self._lengthen(path))


def _make_new(
    row: Cells[tuple[object, ...]],
    photos: Sequence[StoredPhoto],
    empty: EmptyFolder | None = None,
) -> NewJob:
    return NewJob(
        mission=row.mission,
        group_id=row.group_id,
        photos=tuple(photos),
        contents=row.contents,
        lane=_LANES.get(row.rank, "bulk"),
        submitted_by=row.submitted_by,
        callback=row.callback,
        label=row.label,
        empty=empty,
    )


def _make_job(
    row: Cells[tuple[object, ...]], new: NewJob, result: JobResult | None, damage: str = ""
) -> Job:
    return Job(
        id=row.id,
        number=row.number,
        version=row.version,
        state="failed" if damage else row.state,
        new=new,
        submitted_at=row.submitted_at,
        finished_at=row.finished_at,
        result=result,
        problem=damage or row.problem,
        attempts=row.attempts,
        is_current=row.is_current,
        is_damaged=bool(damage),
    )


def _with_paths(cell: ResultCell, change: Callable[[str], str]) -> ResultCell:
    """Change the paths of photos in the rows of a job; what else failures name stays as it is."""
    summary, failures = cell.summary, cell.failures
    if summary is not None:
        summary = summary.model_copy(update={"images": list(map(change, summary.images))})
    changed = tuple(
        failure
        if failure.item == failure.group_id
        else failure.model_copy(update={"item": change(failure.item)})
        for failure in failures
    )
    return cell.model_copy(update={"summary": summary, "failures": changed})


def _as_utf8(text: str) -> str:
    """Write bytes that are no UTF-8 as signs that say so."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
