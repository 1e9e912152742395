"""Which workers live: each holds a lock for as long as its process lives, and counts on while well.

No clock that can jump takes part. A worker whose lock is free is dead, and known to be at once; one
that hangs, or whose machine lost its network, is taken for dead when its count has stood still for
so long by the watch of whoever looks, which only ever runs forward.
"""

from __future__ import annotations

import math
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Double, delete, literal, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite

from shenhe.database import Database
from shenhe.errors import RunError
from shenhe.service.tables import WORKERS
from shenhe.service.worker_locks import FileWorkerLock, PostgresWorkerLock, WorkerLock, is_free

RENEW_SECONDS: Final = 2.0
"""How often a worker tells that it lives."""
LEASE_SECONDS: Final = 30.0
"""How long a worker may hang until others take its jobs."""
GRACE_SECONDS: Final = 5.0
"""How long a worker has to lock itself anew when PostgreSQL was restarted."""
_SERVER_START: Final[ColumnElement[float]] = literal_column(
    "extract(epoch FROM pg_postmaster_start_time())::float8", Double()
)


class Beat(NamedTuple):
    """How far a worker has counted, and since when, by the watch of whoever looked.

    Units: `since` in seconds of a watch that starts anywhere.
    """

    beats: int
    since: float


class Leases:
    """The lease of this process as a worker, and those of the workers beside it.

    Example:
        leases = Leases(open_store(Path("data")).database)
        leases.renew("machine-1")
        leases.find_dead()  # those whose jobs are free

    """

    def __init__(self, database: Database, seconds: float = LEASE_SECONDS) -> None:
        """Name this worker anew: a process that comes after it has nothing of it."""
        self.worker = uuid.uuid4().hex
        self._database, self._seconds = database, seconds
        self._beats: dict[str, Beat] = {}
        self._server: float | None = None
        self._mutex, self._renewed = threading.Lock(), -math.inf
        self._lock: WorkerLock = (
            PostgresWorkerLock(database.engine, self.worker)
            if database.is_shared
            else FileWorkerLock(self._lock_file(self.worker))
        )

    def renew(self, name: str) -> None:
        """Tell that this worker lives; `name` is what people call it.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be written.
        """
        dialect = postgresql if self._database.is_shared else sqlite
        adding = dialect.insert(WORKERS).values(
            run=self._database.run,
            worker=self.worker,
            name=name,
            beats=1,
            server_start=self._server_start(),
        )
        counting = adding.on_conflict_do_update(
            index_elements=["run", "worker"],
            set_={"beats": WORKERS.c.beats + 1, "server_start": adding.excluded.server_start},
        )
        with self._mutex:
            # First the lock: who is listed without one is dead.
            self._lock.hold()
            with self._database.transaction_of_the_moment() as connection:
                connection.execute(counting)
            self._renewed = time.monotonic()

    def renew_if_due(self, name: str) -> None:
        """Tell that this worker lives, unless it has just done so.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be written.
        """
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            self.renew(name)

    def find_dead(self) -> list[str]:
        """Give the workers that are dead, or hang.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be read.
        """
        query = select(
            WORKERS.c.worker,
            WORKERS.c.beats,
            self._server_start().label("server"),
            (WORKERS.c.server_start == self._server_start()).label("is_same_server"),
        ).where(WORKERS.c.run == self._database.run, WORKERS.c.worker != self.worker)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        if rows and rows[0].server != self._server:
            # Nobody could count while the server was away.
            self._server, self._beats = rows[0].server, {}
        beats = {row.worker: self._look(row.worker, row.beats) for row in rows}
        self._beats = beats
        dead = []
        for row in rows:
            still = time.monotonic() - beats[row.worker].since
            # A restart of the server takes the locks of those that live, too.
            is_certain = not self._database.is_shared or row.is_same_server
            if still > self._seconds or (
                (is_certain or still > GRACE_SECONDS)
                and is_free(self._database, self._lock_file(row.worker), row.worker)
            ):
                dead.append(row.worker)
        return dead

    def strike(self, connection: Connection, worker: str) -> bool:
        """Strike a dead worker off the list; False if it has counted on meanwhile.

        Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be written.
        """
        striking = delete(WORKERS).where(
            WORKERS.c.run == self._database.run,
            WORKERS.c.worker == worker,
            WORKERS.c.beats == self._beats[worker].beats,
        )
        is_struck = connection.execute(striking).rowcount == 1
        # One that lives after all counts from the start, and is looked at anew.
        self._beats.pop(worker, None)
        if is_struck and not self._database.is_shared:
            with suppress(OSError):
                self._lock_file(worker).unlink(missing_ok=True)
        return is_struck

    def leave(self) -> None:
        """Be no worker any longer; a database that does not answer learns of it by the lock."""
        leaving = delete(WORKERS).where(
            WORKERS.c.run == self._database.run, WORKERS.c.worker == self.worker
        )
        with self._mutex:
            with suppress(RunError), self._database.transaction_of_the_moment() as connection:
                connection.execute(leaving)
            self._lock.release()

    def _look(self, worker: str, beats: int) -> Beat:
        """Give how long a worker has stood still at this count."""
        last = self._beats.get(worker)
        return last if last and last.beats == beats else Beat(beats, time.monotonic())

    def _server_start(self) -> ColumnElement[float]:
        return _SERVER_START if self._database.is_shared else literal(None, Double())

    def _lock_file(self, worker: str) -> Path:
        """Name the lock of a worker beside the file of the database, where it is a file."""
        return Path(self._database.engine.url.database or "").parent / "workers" / f"{worker}.lock"
