"""A run's database: its connection, and the identity of the run in it.

Tables are declared by the packages that use them, each on a `MetaData` of its own. Rows of a run
carry its `run`, so that one PostgreSQL database serves any number of runs.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import (
    Connection,
    Double,
    Engine,
    MetaData,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from shenhe.errors import DatabaseAwayError, OptionError, RunError, needs
from shenhe.files import sync_folder

SCHEMES = ("postgresql", "postgres")
BUSY_SECONDS = 30
"""How long a writer of SQLite waits for another one."""
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""How long PostgreSQL may be silent until it counts as away, in libpq's words."""
MAX_CONNECTIONS = 40
"""How many connections of PostgreSQL a process uses at most, which takes 100 in all by default."""
STUCK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
SESSION = (
    "SET statement_timeout = '20s'",
    "SET lock_timeout = '15s'",
    # A server that hangs in a transaction must not hold up those beside it.
    "SET idle_in_transaction_session_timeout = '15s'",
    # What is acknowledged is on disk, also where the database has another default.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') IN ('off', 'local')",
)


class SecondsNow(FunctionElement[float]):
    """Seconds since 1970 by the clock of the database, which all machines share.

    Example:
        connection.execute(select(CLAIMS).where(CLAIMS.c.until > SecondsNow()))

    """

    type = Double()
    inherit_cache = True


@compiles(SecondsNow, "postgresql")
def _seconds_of_postgresql(element: SecondsNow, compiler: SQLCompiler, **_: object) -> str:
    return "extract(epoch FROM clock_timestamp())::float8"


@compiles(SecondsNow, "sqlite")
def _seconds_of_sqlite(element: SecondsNow, compiler: SQLCompiler, **_: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Database:
    """A database, and the run whose rows it holds.

    `name` is its address without the password; messages have no other.

    Example:
        database = open_database(Path("out"), "postgresql://reviewers@db.example/shenhe")
        with database.transaction() as connection:
            connection.execute(select(ACCOUNTS))

    """

    engine: Engine
    run: str
    name: str

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run statements in one transaction; it is on disk when the block ends.

        Raises: DatabaseAwayError if it does not answer; RunError if it cannot be read or written.
        """
        with self._telling(), self.engine.begin() as connection:
            if not self.is_shared:
                connection.execute(text("PRAGMA synchronous = FULL"))
            yield connection

    @contextmanager
    def transaction_of_the_moment(self) -> Iterator[Connection]:
        """Run statements in one transaction that a loss of power may undo: it waits for no disk.

        Raises: DatabaseAwayError if it does not answer; RunError if it cannot be read or written.
        """
        hurry = "SET LOCAL synchronous_commit = off"
        with self._telling(), self.engine.begin() as connection:
            connection.execute(text(hurry if self.is_shared else "PRAGMA synchronous = NORMAL"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run single statements that only read, without the round trips of a transaction.

        Raises: DatabaseAwayError if it does not answer; RunError if it cannot be read.
        """
        with self._telling(), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def alone(self, subject: str) -> Iterator[Connection]:
        """Run a transaction that no other one on the same subject runs beside.

        Raises: DatabaseAwayError if it does not answer; RunError if it cannot be read or written.
        """
        with self.transaction() as connection:
            if self.is_shared:
                name = func.hashtextextended(f"shenhe {subject}", 0)
                connection.execute(select(func.pg_advisory_xact_lock(name)))
            else:
                connection.execute(text("BEGIN IMMEDIATE"))
            yield connection

    @property
    def is_shared(self) -> bool:
        """Whether it is PostgreSQL, which several machines share."""
        return self.engine.dialect.name == "postgresql"

    def create(self, tables: MetaData) -> None:
        """Create those of these tables that are missing.

        Raises: DatabaseAwayError if it does not answer; RunError if it cannot be written.
        """
        with self.alone("tables") as connection:
            tables.create_all(connection)

    def close(self) -> None:
        """Close the connections that are kept for the next use."""
        self.engine.dispose()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            problem = describe_problem(error)
            if _is_away(error):
                raise DatabaseAwayError(f"{self.name}: {problem}; nothing is lost") from error
            raise RunError(f"{self.name}: {problem}; nothing is lost") from error


def open_at(
    run_dir: Path, url: str, file: Path, tables: MetaData, connections: int = MAX_CONNECTIONS
) -> Database:
    """Open the database of a URL, or else this file of SQLite, and create missing tables.

    `connections` is how many of PostgreSQL's this process may use at once.

    Raises: OptionError for another kind of URL; RunError if it cannot be reached or written.

    Example:
        database = open_at(Path("out"), "", Path("out/service/jobs.sqlite"), TABLES)

    """
    address = _read_url(url) if url else URL.create("sqlite", database=str(file))
    name = _name_of(address) if url else str(file)
    try:
        run = identify_run(run_dir)
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{file.parent}: cannot be written: {error.strerror}") from error
    database = Database(_engine_of(address, connections), run, name)
    # Whoever lets go of it need not close it.
    weakref.finalize(database, database.engine.dispose)
    database.create(tables)
    return database


def identity_file(run_dir: Path) -> Path:
    """Name the file of the identity of a run."""
    return run_dir / "review" / "run_id"


def identify_run(run_dir: Path) -> str:
    """Give the identity of a run: RUN_DIR/review/run_id, written once by whoever comes first.

    It is no path and no name: machines mount a run in different places, and many runs are `out`.
    Raises: OSError.
    """
    path = identity_file(run_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        new_path = path.with_name(f"run_id.{uuid.uuid4().hex}")
        new_path.write_text(uuid.uuid4().hex, encoding="ascii")
        try:
            os.link(new_path, path)
        except FileExistsError:
            pass  # somebody else came first: theirs counts
        finally:
            new_path.unlink()
        sync_folder(path.parent)
    return path.read_text(encoding="ascii").strip()


def describe_problem(error: SQLAlchemyError) -> str:
    """Describe an error of a database in one line, without its statement and values."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split()) or type(original).__name__


def _name_of(address: URL) -> str:
    """Write an address without its password, and without its query, which may hold one."""
    return address.set(drivername=SCHEMES[0], query={}).render_as_string(hide_password=True)


def _read_url(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is None or address.get_backend_name() not in SCHEMES:
        # The value is not named: it may hold a password.
        raise OptionError("database", "URL", "give postgresql://USER@HOST/NAME")
    return address.set(drivername="postgresql+psycopg")


def _engine_of(address: URL, connections: int) -> Engine:
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, connect_args={"timeout": BUSY_SECONDS})
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    with needs("postgres"):
        engine = create_engine(
            address,
            # Prepared statements would not survive a pooler between here and the database.
            connect_args=PATIENCE | {"prepare_threshold": None},
            pool_pre_ping=True,
            pool_size=min(10, connections),
            max_overflow=max(0, connections - 10),
            pool_timeout=10,
        )
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _prepare_postgresql(connection: DBAPIConnection, _: object) -> None:
    with ExitStack() as stack:
        stack.callback(connection.close)  # the pool knows nothing of it yet
        cursor = connection.cursor()
        for statement in SESSION:
            cursor.execute(statement)
        cursor.close()
        connection.commit()
        stack.pop_all()


def _is_away(error: SQLAlchemyError) -> bool:
    """Whether the same may work later: no connection, a lost one, a full disk, a lock held."""
    if isinstance(original := getattr(error, "orig", None), sqlite3.Error):
        return getattr(original, "sqlite_errorcode", 0) & 0xFF in STUCK
    is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return is_lost or isinstance(error, OperationalError | InterfaceError | TimeoutError)
