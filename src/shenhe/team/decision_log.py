"""Decisions of a run in PostgreSQL, which several servers share, and the copy that follows them.

The log decides who came first: a decision is appended by one transaction at a time, so that numbers
are committed in their order, and a version of a group is written once. Each server copies what it
lacks into the run's own decisions.sqlite before it reads, which all queries go on reading.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    Double,
    MetaData,
    Select,
    Table,
    insert,
    select,
)

from shenhe.database import Database, identity_file
from shenhe.errors import ConflictError, DatabaseAwayError, RunError
from shenhe.row_types import utc_now
from shenhe.rows.decision_copies import Followed, mark_followed
from shenhe.rows.decision_queries import describe_conflict, insert_decision
from shenhe.rows.decision_rows import Decision, from_cells, to_cells
from shenhe.rows.decision_tables import COLUMNS, SELECT
from shenhe.rows.decisions import BUSY_SECONDS, Decisions, decisions_file
from shenhe.team.database import open_database
from shenhe.team.judgement_tables import digest_key, judgement_columns

LOG: Final = MetaData()
"""The table of the log, which only a shared database has."""
DECISIONS: Final = Table(
    "team_decisions",
    LOG,
    *judgement_columns(),
    Column("audit", Double),
)
_CELLS: Final = tuple(DECISIONS.c[name] for name in ("number", *COLUMNS.split(", ")))
PART = 5000
"""How many decisions are copied at once."""
NOTE_SECONDS = 30
"""How often the copy notes up to when it has followed, while nothing comes."""


def follow_run(run_dir: Path, url: str) -> None:
    """Bring the copy of a run up to date, where its decisions are made in this database.

    Raises: OptionError for another kind of address; DatabaseAwayError; RunError.

    Example:
        follow_run(Path("out"), "postgresql://reviewers@db.example/shenhe")

    """
    has_copy = decisions_file(run_dir).exists()
    if not has_copy and not identity_file(run_dir).exists():
        return  # nobody has reviewed it
    database = open_database(run_dir, url)
    try:
        # A run that is reviewed without a database stays as it is.
        if (has_copy and Decisions(run_dir).followed) or holds_run(database):
            SharedDecisions(run_dir, database)
    finally:
        database.close()


def holds_run(database: Database) -> bool:
    """Whether a shared database has decisions of its run.

    Raises: DatabaseAwayError if it does not answer; RunError if it cannot be read.
    """
    database.create(LOG)
    with database.reading() as connection:
        query = select(DECISIONS.c.number).where(DECISIONS.c.run == database.run).limit(1)
        return connection.execute(query).first() is not None


class SharedDecisions(Decisions):
    """The decisions of one run in a shared database; what is read is the copy beside the run.

    Example:
        decisions = SharedDecisions(Path("out"), open_database(Path("out"), "postgresql://..."))

    """

    def __init__(self, run_dir: Path, database: Database) -> None:
        """Open the log, and the copy; what was decided before in the file alone is carried up.

        Raises: DatabaseAwayError if the database does not answer; RunError if the file and the
        database hold different decisions, or one of them cannot be read or written.
        """
        super().__init__(run_dir, is_copy=True)
        self._database, self._noted = database, 0.0
        database.create(LOG)
        followed = self.followed
        with database.alone(self._subject) as connection:
            self._carry_up(connection, followed)
        self._copy([], note=followed is None or followed.database != database.name)
        self.follow()

    def follow(self) -> None:
        """Copy the decisions that the file lacks.

        Raises: DatabaseAwayError if the database does not answer; RunError if it no longer holds
        what was copied, or the copy cannot be written.
        """
        while True:
            last = self._last_copied()
            with self._database.reading() as connection:
                query = self._from(last.number if last else 0).limit(PART)
                rows = [from_cells(tuple(row)) for row in connection.execute(query)]
            if last and rows[:1] != [last]:
                raise RunError(
                    f"{self._database.name}: decision {last.number}, which {self.path} has from"
                    " it, is no longer there: start `shenhe review` again"
                )
            fresh = rows[1:] if last else rows
            self._copy(fresh, note=time.monotonic() - self._noted > NOTE_SECONDS)
            if len(rows) < PART:
                return

    def add(self, decision: Decision) -> Decision:
        """Append the next version for a group; on return it is on the disk of the database.

        Raises: ConflictError if that version exists, or is not the next one; DatabaseAwayError if
        the database does not answer; RunError if it cannot be written.
        """
        try:
            written = self._append(decision)
        except DatabaseAwayError:
            # A connection that broke while it was told: the decision is in, and is found again, or
            # is not, and is written now.
            written = self._append(decision)
        # It is decided: a copy that cannot be written is told by whoever reads next.
        with suppress(RunError):
            self.follow()
        return written

    def _append(self, decision: Decision) -> Decision:
        with self._database.alone(self._subject) as connection:
            query = self._query(DECISIONS.c.key_digest == digest_key(decision.key))
            row = connection.execute(query.order_by(DECISIONS.c.version.desc()).limit(1)).first()
            last = from_cells(tuple(row)) if row else None
            if last and last == decision.model_copy(update={"number": last.number}):
                return last
            if decision.version != (last.version if last else 0) + 1:
                raise ConflictError(decision.key, describe_conflict(last))
            newest = self._newest(connection)
            numbered = decision.model_copy(update={"number": newest.number + 1 if newest else 1})
            self._insert(connection, [numbered])
        return numbered

    def _carry_up(self, connection: Connection, followed: Followed | None) -> None:
        """Append what only the file holds: all of it before the first use, or after a restoring."""
        ours, theirs = self._last_copied(), self._newest(connection)
        if ours is None:
            return
        if theirs is None and followed and followed.database != self._database.name:
            raise RunError(
                f"{self._database.name}: has no decisions of this run, which were made in"
                f" {followed.database}: name that one, or copy its table team_decisions first"
            )
        newest = theirs.number if theirs else 0
        number = min(ours.number, newest)
        if number and self._copied(number) != self._find(connection, number):
            raise RunError(
                f"{self.path}: holds other decisions than {self._database.name}: keep one of them,"
                f" and move the file aside to go on with the database"
            )
        with self._opened() as db:
            # Not from `number` on: another process may have copied more from the log meanwhile.
            for row in db.execute(f"{SELECT} WHERE number > ? ORDER BY number", (newest,)):
                self._insert(connection, [from_cells(row)])

    @property
    def _subject(self) -> str:
        return f"decisions {self._database.run}"

    def _query(self, condition: object) -> Select[tuple[object, ...]]:
        return select(*_CELLS).where(DECISIONS.c.run == self._database.run, condition)  # type: ignore[arg-type]

    def _from(self, number: int) -> Select[tuple[object, ...]]:
        return self._query(DECISIONS.c.number >= number).order_by(DECISIONS.c.number)

    def _find(self, connection: Connection, number: int) -> Decision | None:
        row = connection.execute(self._query(DECISIONS.c.number == number)).first()
        return from_cells(tuple(row)) if row else None

    def _newest(self, connection: Connection) -> Decision | None:
        row = connection.execute(
            self._query(DECISIONS.c.number > 0).order_by(DECISIONS.c.number.desc()).limit(1)
        ).first()
        return from_cells(tuple(row)) if row else None

    def _insert(self, connection: Connection, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            cells = dict(zip(COLUMNS.split(", "), to_cells(decision), strict=True))
            cells |= {"run": self._database.run, "number": decision.number}
            connection.execute(
                insert(DECISIONS).values(**cells, key_digest=digest_key(decision.key))
            )

    def _last_copied(self) -> Decision | None:
        with self._opened() as db:
            row = db.execute(f"{SELECT} ORDER BY number DESC LIMIT 1").fetchone()
            return from_cells(row) if row else None

    def _copied(self, number: int) -> Decision | None:
        with self._opened() as db:
            row = db.execute(f"{SELECT} WHERE number = ?", (number,)).fetchone()
            return from_cells(row) if row else None

    def _copy(self, decisions: Sequence[Decision], *, note: bool) -> None:
        """Insert decisions into the file; of several processes, each finds what is in already.

        Raises: RunError if it cannot be written.
        """
        if not decisions and not note:
            return
        try:
            with closing(
                sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            ) as db:
                # What a loss of power takes from a copy is copied again.
                db.execute("PRAGMA synchronous = NORMAL")
                db.execute("BEGIN IMMEDIATE")
                (last,) = db.execute("SELECT coalesce(max(number), 0) FROM decisions").fetchone()
                for decision in decisions:
                    if decision.number > last:
                        insert_decision(db, decision, decision.number)
                mark_followed(db, Followed(self._database.name, utc_now()))
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: cannot be written: {error}; nothing is lost") from error
        self._noted = time.monotonic()
