"""Jobs as they are taken in: the same photos of a group are one job, others its next version."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import Connection, delete, insert

from shenhe.errors import DatabaseAwayError
from shenhe.row_types import utc_now
from shenhe.service.job_rows import check_texts, digest_group
from shenhe.service.job_table import JobTable
from shenhe.service.jobs import Job, NewJob, repeat_contents
from shenhe.service.tables import JOBS, PHOTOS

Value = TypeVar("Value")


class JobIntake(JobTable):
    """The jobs of one service, to be read and taken in.

    Every method raises DatabaseAwayError while the database does not answer, and RunError if it
    cannot be read or written.

    Example:
        job, is_new = JobIntake(database).submit(new)

    """

    def submit(self, new: NewJob) -> tuple[Job, bool]:
        """Take in a group; give its job, which is on disk, and whether it is a new one.

        The same photos are the same job; one that failed is queued again while it is current.
        Raises: UsageError for a name that not every database can hold.
        """
        check_texts(new)
        return write_twice(lambda: self._submit(new))

    def repeat(self, job: Job) -> tuple[Job, bool]:
        """Make the next version of the photos of a job, whose verdict no longer holds.

        Whoever does so for the same version makes the same one; an older one stays as it is.
        """
        return write_twice(lambda: self._repeat(job))

    def _submit(self, new: NewJob) -> tuple[Job, bool]:
        is_of_group = JOBS.c.group_digest == digest_group(new.mission, new.group_id)
        with self.database.alone(f"service jobs {self._run}") as connection:
            known = self._read(connection, is_of_group, JOBS.c.contents == new.contents)
            current = self._read(connection, is_of_group, JOBS.c.is_current)
            if current and repeat_contents(new.contents, current[0].version) == (
                current[0].new.contents
            ):
                known = current
            if known:
                return self._requeue(connection, known[0], new), False
            return self._add(connection, new, current), True

    def _repeat(self, job: Job) -> tuple[Job, bool]:
        is_of_group = JOBS.c.group_digest == digest_group(job.new.mission, job.new.group_id)
        with self.database.alone(f"service jobs {self._run}") as connection:
            current = self._read(connection, is_of_group, JOBS.c.is_current)
            if current[0].id != job.id:
                return current[0], False
            earlier = connection.scalars(
                self._select(is_of_group).with_only_columns(JOBS.c.contents)
            )
            own, version = job.new.contents, job.version
            first = (each for each in earlier if repeat_contents(each, version) == own)
            contents = repeat_contents(next(first, own), version + 1)
            return self._add(connection, replace(job.new, contents=contents), current), True

    def _add(self, connection: Connection, new: NewJob, current: Sequence[Job]) -> Job:
        """Add the next version of a group."""
        number = self._next(connection, JOBS.c.number)
        for job in current:
            connection.execute(self._update(JOBS.c.number == job.number).values(is_current=False))
        cells = self.cells.of_new(new) | {
            "run": self._run,
            "number": number,
            "id": uuid.uuid4().hex,
            "version": current[0].version + 1 if current else 1,
            "is_current": True,
            "state": "queued",
            "attempts": 0,
            "problem": "",
            "submitted_at": utc_now(),
            "finished_at": "",
        }
        connection.execute(insert(JOBS).values(**cells))
        self._add_photos(connection, number, new)
        return self._read(connection, JOBS.c.number == number)[0]

    def _add_photos(self, connection: Connection, number: int, new: NewJob) -> None:
        photos = [
            {"run": self._run, "number": number, "position": position, **self.cells.of_photo(photo)}
            for position, photo in enumerate(new.photos)
        ]
        if photos:
            connection.execute(insert(PHOTOS), photos)

    def _requeue(self, connection: Connection, job: Job, new: NewJob) -> Job:
        """Queue a job again that failed; what is decided, or of an older version, stays."""
        if job.state != "failed" or not job.is_current:
            return job
        # Its number in the order of ends stays, so that none is given twice.
        fresh = {"state": "queued", "attempts": 0, "problem": "", "finished_at": "", "result": None}
        if job.is_damaged:
            fresh |= self.cells.of_photos(new)
            is_its = (PHOTOS.c.run == self._run) & (PHOTOS.c.number == job.number)
            connection.execute(delete(PHOTOS).where(is_its))
            self._add_photos(connection, job.number, new)
        connection.execute(self._update(JOBS.c.number == job.number).values(**fresh))
        return self._read(connection, JOBS.c.number == job.number)[0]


def write_twice(write: Callable[[], Value]) -> Value:
    """Write once more what can be written twice, where a connection broke while it was told."""
    try:
        return write()
    except DatabaseAwayError:
        return write()
