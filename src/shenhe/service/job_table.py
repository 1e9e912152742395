"""The jobs of a service as they are read: by id, by group, by state, by photo, by their end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Update,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from shenhe.database import Database
from shenhe.service.job_rows import JobCells, digest_group
from shenhe.service.jobs import Job, JobState
from shenhe.service.tables import JOBS, OPEN, PHOTOS

PAGE: Final = 100
"""How many jobs are listed at once."""
PATHS: Final = 10_000
"""How many paths of photos are read at once."""
MAX_NUMBER: Final = 2**31 - 1
ENDED: Final[tuple[JobState, ...]] = ("done", "failed")


class Ended(NamedTuple):
    """A job at its end; numbers grow in the order in which ends are on disk."""

    number: int
    job: Job


class JobTable:
    """The jobs of one service, to be read.

    Every method raises DatabaseAwayError while the database does not answer, and RunError if it
    cannot be read.

    Example:
        table = JobTable(database)
        table.latest("挡风板安装检查", "QC-1")

    """

    def __init__(self, database: Database, data_dir: Path | None = None) -> None:
        """Read the jobs of a database; photos in DIR/photos are named relative to DIR."""
        self.database, self.cells = database, JobCells(database.name, data_dir)
        self._run = database.run

    def get(self, job_id: str) -> Job | None:
        """Give a job by its id."""
        return next(iter(self._find(JOBS.c.id == job_id)), None)

    def latest(self, mission: str, group_id: str) -> Job | None:
        """Give the current version of a group."""
        is_of_group = JOBS.c.group_digest == digest_group(mission, group_id)
        return next(iter(self._find(is_of_group, JOBS.c.is_current)), None)

    def versions(
        self, mission: str, group_id: str, after: int = 0, before: int = MAX_NUMBER
    ) -> Sequence[Job]:
        """Give the versions of a group whose numbers lie between two, the first first."""
        is_of_group = JOBS.c.group_digest == digest_group(mission, group_id)
        is_between = (JOBS.c.number > after) & (JOBS.c.number < before)
        return self._find(is_of_group, is_between, limit=PAGE)

    def has_photos_below(self, folder: str) -> bool:
        """Whether any job has a photo below a folder, which ends with a slash."""
        names = {folder, self.cells.shorten(folder)}
        is_below = or_(*(PHOTOS.c.path.startswith(name, autoescape=True) for name in names))
        query = select(exists().where(PHOTOS.c.run == self._run, is_below))
        with self.database.reading() as connection:
            return bool(connection.execute(query).scalar_one())

    def last_number(self) -> int:
        """Give the number of the last job that was taken in; 0 before the first."""
        query = select(func.coalesce(func.max(JOBS.c.number), 0)).where(JOBS.c.run == self._run)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def photo_paths(self, after: int) -> Iterator[str]:
        """Yield where the photos lie of the jobs behind a number, as the database names them."""
        number, position = after, MAX_NUMBER
        key = tuple_(PHOTOS.c.number, PHOTOS.c.position)
        while True:
            query = select(PHOTOS.c.number, PHOTOS.c.position, PHOTOS.c.path).where(
                PHOTOS.c.run == self._run, key > tuple_(number, position)
            )
            with self.database.reading() as connection:
                rows = connection.execute(query.order_by(*key.clauses).limit(PATHS)).all()
            yield from (row.path for row in rows)
            if len(rows) < PATHS:
                return
            number, position = rows[-1].number, rows[-1].position

    def list(
        self,
        state: JobState | None = None,
        mission: str | None = None,
        after: int = 0,
        limit: int = PAGE,
    ) -> Sequence[Job]:
        """List jobs in the order of their numbers, those behind a number."""
        conditions = [JOBS.c.number > after]
        conditions += [JOBS.c.state == state] if state else []
        conditions += [JOBS.c.mission == mission] if mission else []
        return self._find(*conditions, limit=limit)

    def counts(self) -> Mapping[JobState, int]:
        """Count the jobs in each state."""
        query = select(JOBS.c.state, func.count()).where(JOBS.c.run == self._run)
        with self.database.reading() as connection:
            rows = connection.execute(query.group_by(JOBS.c.state)).all()
        return dict.fromkeys(get_args(JobState), 0) | dict(map(tuple, rows))

    def waiting_by_mission(self) -> Mapping[str, int]:
        """Count the jobs of each mission that are not at their end."""
        query = select(JOBS.c.mission, func.count()).where(
            JOBS.c.run == self._run, JOBS.c.state.in_(OPEN)
        )
        with self.database.reading() as connection:
            return dict(map(tuple, connection.execute(query.group_by(JOBS.c.mission))))

    def waiting(self) -> int:
        """Count the jobs that are not at their end."""
        return self._sum_open(func.count())

    def backlog_bytes(self) -> int:
        """Sum up the photos of the jobs that are not at their end. Units: bytes."""
        return self._sum_open(func.sum(JOBS.c.size))

    def finished_after(self, number: int, limit: int = PAGE) -> Sequence[Ended]:
        """List what came to its end behind a number of that order, where 0 is before all."""
        is_behind = JOBS.c.finish_number > number
        return self._ended(is_behind, JOBS.c.state.in_(ENDED), limit=limit)

    def with_photos_before(self, moment: str, number: int, limit: int = PAGE) -> Sequence[Ended]:
        """List jobs that were done before a moment and still have photos, behind a number."""
        return self._ended(
            *(JOBS.c.finish_number > number, JOBS.c.state == "done"),
            *(JOBS.c.has_photos, JOBS.c.finished_at < moment),
            limit=limit,
        )

    def _ended(self, *conditions: ColumnElement[bool], limit: int) -> Sequence[Ended]:
        query = self._select(*conditions).order_by(JOBS.c.finish_number).limit(limit)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [Ended(row.finish_number, self.cells.read(row)) for row in rows]

    def _find(self, *conditions: ColumnElement[bool], limit: int = 1) -> Sequence[Job]:
        with self.database.reading() as connection:
            return self._read(connection, *conditions, limit=limit)

    def _read(
        self, connection: Connection, *conditions: ColumnElement[bool], limit: int = 1
    ) -> Sequence[Job]:
        query = self._select(*conditions).order_by(JOBS.c.number).limit(limit)
        return [self.cells.read(row) for row in connection.execute(query)]

    def _select(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        return select(JOBS).where(JOBS.c.run == self._run, *conditions)

    def _update(self, *conditions: ColumnElement[bool]) -> Update:
        return update(JOBS).where(JOBS.c.run == self._run, *conditions)

    def _next(self, connection: Connection, column: Column[int]) -> int:
        """Give the number that follows the highest; only for who writes alone."""
        query = select(func.coalesce(func.max(column), 0)).where(JOBS.c.run == self._run)
        return int(connection.execute(query).scalar_one()) + 1

    def _sum_open(self, aggregate: ColumnElement[Any]) -> int:
        query = select(func.coalesce(aggregate, 0))
        query = query.where(JOBS.c.run == self._run, JOBS.c.state.in_(OPEN))
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())
