"""The database of a team: its connection, its tables, and the identity of a run in it.

Tables are declared by the modules that use them, on `METADATA`. Rows of a run carry its `run`, so
that one PostgreSQL database serves any number of runs.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from shenhe.errors import OptionError, RunError
from shenhe.files import sync_folder

METADATA: Final = MetaData()
"""All tables of a team; `open_database` creates those that are missing."""
SCHEMES = ("postgresql", "postgres")
BUSY_SECONDS = 30
"""How long a writer of SQLite waits for another one."""


@dataclass(frozen=True, slots=True)
class Database:
    """The database of a team, and the run that its reviewers work on.

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

        Raises: RunError if the database cannot be reached, read or written.
        """
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise RunError(f"{self.name}: {describe_problem(error)}; nothing is lost") from error


def open_database(run_dir: Path, url: str = "") -> Database:
    """Open the database of a URL, or RUN_DIR/review/team.sqlite, and create missing tables.

    Raises: OptionError for another kind of URL; RunError if it cannot be reached or written.

    Example:
        database = open_database(Path("out"))

    """
    address = _read_url(url) if url else URL.create("sqlite", database=str(_team_file(run_dir)))
    name = address.render_as_string(hide_password=True) if url else str(_team_file(run_dir))
    try:
        run = identify_run(run_dir)
    except OSError as error:
        raise RunError(f"{run_dir / 'review'}: cannot be written: {error.strerror}") from error
    options = {"timeout": BUSY_SECONDS} if not url else {}
    engine = create_engine(address, connect_args=options, pool_pre_ping=True)
    if not url:
        event.listen(engine, "connect", _prepare_sqlite)
    database = Database(engine, run, name)
    with database.transaction() as connection:
        METADATA.create_all(connection)
    return database


def identify_run(run_dir: Path) -> str:
    """Give the identity of a run: RUN_DIR/review/run_id, written once by whoever comes first.

    It is no path and no name: machines mount a run in different places, and many runs are `out`.
    Raises: OSError.
    """
    path = run_dir / "review" / "run_id"
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


def _team_file(run_dir: Path) -> Path:
    return run_dir / "review" / "team.sqlite"


def _read_url(url: str) -> URL:
    try:
        address = make_url(url)
    except ArgumentError:
        address = None
    if address is None or address.get_backend_name() not in SCHEMES:
        # The value is not named: it may hold a password.
        raise OptionError("database", "URL", "give postgresql://USER@HOST/NAME")
    return address.set(drivername="postgresql+psycopg")


def _prepare_sqlite(connection: object, _: object) -> None:
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
