"""The jobs of a service, in SQLite or PostgreSQL: what is accepted is on disk, and decided once.

Whoever works a job holds it by a token; an end is written only with the token of the last claim, so
that of two who work the same job one decides. Jobs of workers that died go back to the queue.
"""

from __future__ import annotations

import math
import os
import sqlite3
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, event, exists, select
from sqlalchemy.engine.interfaces import DBAPIConnection

from shenhe.database import Database, open_at
from shenhe.errors import RunError
from shenhe.row_types import utc_now
from shenhe.service.choosing import choose_free
from shenhe.service.job_intake import JobIntake, write_twice
from shenhe.service.jobs import Job, JobResult
from shenhe.service.leases import LEASE_SECONDS, RENEW_SECONDS, Leases
from shenhe.service.tables import JOBS, OPEN, TABLES, WORKERS

CONNECTIONS: Final = 12
"""How many connections of PostgreSQL a process of a service uses at most: there may be many."""
MAX_ATTEMPTS: Final = 5
"""How often a job is taken up whose workers die over it."""
WORN: Final = f"its worker died {MAX_ATTEMPTS} times"
_LET_GO: Final = {"state": "queued", "attempts": JOBS.c.attempts - 1, "worker": None, "token": None}


class Claimed(NamedTuple):
    """A job in the hands of a worker, and the token by which it holds it."""

    job: Job
    token: str


def open_store(data_dir: Path, url: str = "") -> JobStore:
    """Open the jobs of DIR, in DIR/service/jobs.sqlite or in the PostgreSQL of a URL.

    Raises: OptionError for another kind of URL; RunError if it cannot be reached or written.

    Example:
        store = open_store(Path("data"), "postgresql://reviewers@db.example/shenhe")

    """
    file = data_dir / "service" / "jobs.sqlite"
    database = open_at(data_dir, url, file, TABLES, CONNECTIONS)
    if not database.is_shared:
        event.listen(database.engine, "connect", _read_damaged_text)
        database.engine.dispose()  # connections from now on
    return JobStore(database, data_dir=data_dir)


def _read_damaged_text(connection: DBAPIConnection, _: object) -> None:
    """Have bytes that are no UTF-8 read all the same: one job with such has no other one fail."""
    assert isinstance(connection, sqlite3.Connection)
    connection.text_factory = os.fsdecode


class JobStore(JobIntake):
    """The jobs of one service; processes that share them have a store each.

    Every method raises DatabaseAwayError while the database does not answer, and RunError if it
    cannot be read or written, as on a full disk: nothing is lost, and the same works later.

    Example:
        store = open_store(Path("data"))
        job, is_new = store.submit(NewJob("挡风板安装检查", "QC-1", photos, contents))
        for claimed in store.claim("machine-1", 8):
            store.finish(claimed, judge(claimed.job))

    """

    def __init__(
        self,
        database: Database,
        lease_seconds: float = LEASE_SECONDS,
        data_dir: Path | None = None,
    ) -> None:
        """Work on the jobs of a database; photos in DIR/photos are named relative to DIR."""
        super().__init__(database, data_dir)
        self._leases = Leases(database, lease_seconds)
        self._look_seconds = min(RENEW_SECONDS, lease_seconds / 4)
        self._looked_for_dead = -math.inf
        self._held: set[tuple[int, str]] = set()
        self._may_hold_unknown = False  # what was claimed may have been lost on its way

    def close(self) -> None:
        """Let go of the jobs that this process has in hand, and of the database."""
        is_mine = (JOBS.c.worker == self._leases.worker) & (JOBS.c.state == "running")
        with suppress(RunError), self._writing() as connection:
            connection.execute(self._update(is_mine).values(**_LET_GO))
        self._leases.leave()
        self.database.close()

    def renew(self, worker: str) -> None:
        """Tell that this process lives and goes on with its jobs; every RENEW_SECONDS will do."""
        self._leases.renew(worker)

    def claim(self, worker: str, limit: int, without: Collection[str] = ()) -> Sequence[Claimed]:
        """Take up jobs, interactive ones first, of each group the oldest open version alone.

        Jobs of the missions in `without` are left to others.
        """
        self._leases.renew_if_due(worker)
        self._take_back()
        is_free = (JOBS.c.state == "queued") & JOBS.c.mission.not_in(without)
        has_queued = select(self._select(is_free).exists())
        with self.database.reading() as connection:
            if not self._may_hold_unknown and not connection.execute(has_queued).scalar_one():
                return []
        try:
            claimed = self._claim(limit, without)
        except RunError:
            self._may_hold_unknown = True
            raise
        self._may_hold_unknown = False
        self._held.update((job.number, token) for job, token in claimed)
        for each in claimed:
            if each.job.is_damaged:
                self.fail(each, each.job.problem)
        return [each for each in claimed if not each.job.is_damaged]

    def _claim(self, limit: int, without: Collection[str]) -> list[Claimed]:
        token = uuid.uuid4().hex
        taken = {"state": "running", "worker": self._leases.worker, "token": token}
        is_mine = (JOBS.c.worker == self._leases.worker) & (JOBS.c.state == "running")
        with self._writing() as connection:
            held = connection.scalars(self._select(is_mine).with_only_columns(JOBS.c.attempts))
            numbers = choose_free(connection, self._run, held.all(), limit, without)
            taking = self._update(JOBS.c.number.in_(numbers))
            connection.execute(taking.values(**taken, attempts=JOBS.c.attempts + 1))
            query = self._select(is_mine if self._may_hold_unknown else JOBS.c.token == token)
            rows = connection.execute(query.order_by(JOBS.c.rank, JOBS.c.number)).all()
        return [
            Claimed(self.cells.read(row), row.token)
            for row in rows
            if (row.number, row.token) not in self._held
        ]

    def finish(self, claimed: Claimed, result: JobResult) -> bool:
        """Write the result of a job; False if somebody else has it now, who decides instead."""
        return self._end(claimed, state="done", result=self.cells.of_result(result), problem="")

    def fail(self, claimed: Claimed, problem: str) -> bool:
        """Note that a job could not be worked on; False if somebody else has it now."""
        return self._end(claimed, state="failed", problem=problem)

    def release(self, claimed: Claimed) -> None:
        """Give a job back to the queue, as if it had not been taken up."""
        is_held = self._is_held(claimed) & (JOBS.c.state == "running")
        with self._writing() as connection:
            connection.execute(self._update(is_held).values(**_LET_GO))
        self._held.discard((claimed.job.number, claimed.token))

    def note_photos_deleted(self, numbers: Sequence[int]) -> None:
        """Note that the photos of these jobs are no longer there."""
        with self._writing() as connection:
            connection.execute(self._update(JOBS.c.number.in_(numbers)).values(has_photos=False))

    def _end(self, claimed: Claimed, **cells: object) -> bool:
        is_ended = write_twice(lambda: self._write_end(claimed, cells))
        self._held.discard((claimed.job.number, claimed.token))
        return is_ended

    def _write_end(self, claimed: Claimed, cells: Mapping[str, object]) -> bool:
        # A job that went back to the queue, and that nobody has taken since, is still its own.
        is_open = self._is_held(claimed) & JOBS.c.state.in_(OPEN)
        with self._ending() as connection:
            number = self._next(connection, JOBS.c.finish_number)
            ending = self._update(is_open).values(
                **cells, finish_number=number, finished_at=utc_now()
            )
            if connection.execute(ending).rowcount:
                return True
            # It is at its end by this worker, if the answer to the first try was lost.
            state = select(JOBS.c.state).where(JOBS.c.run == self._run, self._is_held(claimed))
            return connection.execute(state).scalar_one_or_none() == cells["state"]

    def _take_back(self) -> None:
        """Queue the jobs of dead workers again; what has cost so many of them fails."""
        if time.monotonic() - self._looked_for_dead < self._look_seconds:
            return
        self._looked_for_dead = time.monotonic()
        dead = self._leases.find_dead()
        lives = exists().where(WORKERS.c.run == JOBS.c.run, WORKERS.c.worker == JOBS.c.worker)
        is_orphan = (JOBS.c.run == self._run) & (JOBS.c.state == "running") & ~lives
        has_orphan = select(exists().where(is_orphan))
        with self.database.reading() as connection:
            if not dead and not connection.execute(has_orphan).scalar_one():
                return
        with self._ending() as connection:
            for worker in dead:
                self._leases.strike(connection, worker)
            is_worn = is_orphan & (JOBS.c.attempts >= MAX_ATTEMPTS)
            for number in connection.execute(select(JOBS.c.number).where(is_worn)).scalars().all():
                failing = self._update(JOBS.c.number == number).values(
                    state="failed",
                    worker=None,
                    token=None,
                    problem=WORN,
                    finish_number=self._next(connection, JOBS.c.finish_number),
                    finished_at=utc_now(),
                )
                connection.execute(failing)
            # Its token stays: if its worker lives after all, and is first, its result counts.
            connection.execute(self._update(is_orphan).values(state="queued", worker=None))

    def _is_held(self, claimed: Claimed) -> ColumnElement[bool]:
        return (JOBS.c.number == claimed.job.number) & (JOBS.c.token == claimed.token)

    @contextmanager
    def _ending(self) -> Iterator[Connection]:
        """Write ends one transaction at a time: their numbers are on disk in their order."""
        with self.database.alone(f"service ends {self._run}") as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Write beside others, where the database locks rows."""
        shared = self.database.is_shared
        with self.database.transaction() if shared else self.database.alone("jobs") as connection:
            yield connection
