"""Locks of workers, which the system lets go when their process dies, however it dies."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.functions import Function

from shenhe.database import Database
from shenhe.errors import RunError

STAYS_OPEN: Final = text("SET LOCAL idle_in_transaction_session_timeout = 0")
"""A lock is all that its transaction is for: it hinders nobody, however long it lasts."""


class WorkerLock(Protocol):
    """The lock of one worker."""

    def hold(self) -> None:
        """Take the lock, or make sure that it is still held.

        Raises: RunError if it cannot be made.
        """

    def release(self) -> None:
        """Let go of the lock."""


class FileWorkerLock:
    """A lock on a file, which all processes of one machine see."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path, self._lock = path, FileLock(path, thread_local=False)

    def hold(self) -> None:
        """Take the lock, which is lost with its process alone.

        Whoever took a hanging worker for dead has removed the file: it is made and locked anew.
        Raises: RunError if it cannot be made.
        """
        if self._lock.is_locked and self._path.exists():
            return
        try:
            self._lock.release()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except (OSError, Timeout) as error:
            raise RunError(f"{self._path}: cannot be locked: {error}") from error

    def release(self) -> None:
        """Let go of the lock, and remove its file."""
        self._lock.release()
        with suppress(OSError):
            self._path.unlink()


class PostgresWorkerLock:
    """A lock in PostgreSQL, which lasts as long as a connection.

    It lies in a transaction that stays open: behind a pooler, that keeps its connection, and locks
    of sessions would end up anywhere.
    """

    def __init__(self, engine: Engine, worker: str) -> None:
        """Name the worker."""
        self._engine, self._worker = engine, worker
        self._connection: Connection | None = None

    def hold(self) -> None:
        """Take the lock, anew where its connection broke.

        A database that does not answer is told by whatever is asked of it next.
        """
        try:
            if self._connection is not None:
                self._connection.execute(select(1))
                return
        except SQLAlchemyError:
            self.release()
        with suppress(SQLAlchemyError):
            connection = self._engine.connect()
            try:
                connection.execute(STAYS_OPEN)
                # False: the connection that broke has not been given up by the server yet, and
                # says to all that this worker lives, as it does.
                is_taken = connection.execute(select(_try_lock(self._worker))).scalar_one()
            except SQLAlchemyError:
                is_taken = False
            if is_taken:
                self._connection = connection
            else:
                connection.close()

    def release(self) -> None:
        """Let go of the lock, with its connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()


def is_free(database: Database, path: Path, worker: str) -> bool:
    """Whether nobody holds the lock of a worker; `path` is its file, where locks are files.

    Raises: DatabaseAwayError if the database does not answer; RunError if it cannot be read.
    """
    if database.is_shared:
        with database.reading() as connection:
            taken: bool = connection.execute(select(_try_lock(worker))).scalar_one()
        return taken
    if not path.exists():
        return True
    try:
        with FileLock(path, timeout=0):
            return True
    except (OSError, Timeout):
        return False


def _try_lock(worker: str) -> Function[bool]:
    return func.pg_try_advisory_xact_lock(func.hashtextextended(f"shenhe worker {worker}", 0))
