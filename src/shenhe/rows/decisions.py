"""Decisions of people on a run's groups: RUN_DIR/review/decisions.sqlite, which only ever grows.

A decision is never changed or deleted: each one is a further version for its group, and so is the
undoing of one. A version is written once: of two people who write the same, the second gets a
ConflictError. A decision on photos that have changed since is kept, but is no longer current.

Where the decisions of a run are made in a database that several servers share, the file is a copy
that follows it: see `shenhe.team.decision_log`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from shenhe.errors import ConflictError, RunError
from shenhe.files import sync_folder
from shenhe.row_types import utc_now
from shenhe.rows.decision_copies import Followed, describe_followed, select_followed
from shenhe.rows.decision_moves import (
    NO_MOVES,
    BlindDecision,
    follow_blind,
    give_to,
    select_moves,
)
from shenhe.rows.decision_queries import (
    NOT_UNDONE,
    describe_conflict,
    insert_decision,
    is_decided_since,
    select_current,
    sign_by_author,
)
from shenhe.rows.decision_rows import Decision, from_cells
from shenhe.rows.decision_tables import SELECT, damage_error, is_damage, prepare_tables
from shenhe.rows.photo_inputs import read_photo_inputs

BUSY_SECONDS = 30.0


def decisions_file(run_dir: Path) -> Path:
    """Name the file of a run's decisions."""
    return run_dir / "review" / "decisions.sqlite"


class OwnDecision(NamedTuple):
    """A decision of a person; `is_last` where its group has not been decided again since."""

    decision: Decision
    is_last: bool


class Decisions:
    """The decisions of one run; any number of threads and processes may read and write them."""

    def __init__(self, run_dir: Path, *, is_copy: bool = False) -> None:
        """Open the file of decisions, or create it. A damaged file is never written to.

        Raises: RunError if it is damaged, cannot be written, or is of a later version.
        """
        self.path, self._run_dir = decisions_file(run_dir), run_dir
        try:
            if not self.path.parent.is_dir():
                self.path.parent.mkdir(parents=True)
                sync_folder(run_dir)
            with self._connect() as db:
                prepare_tables(self.path, db, is_copy=is_copy)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be opened: {error.strerror}") from error
        except sqlite3.Error as error:
            if is_damage(error):
                raise damage_error(self.path, error) from error
            raise RunError(f"{self.path}: cannot be opened: {error}") from error

    def follow(self) -> None:
        """Bring in what others have decided elsewhere; a file of its own has nothing to follow.

        Raises: RunError if that cannot be done.
        """

    @property
    def followed(self) -> Followed | None:
        """The database that this file follows; None where decisions are made in the file itself.

        Raises: RunError if the decisions cannot be read.
        """
        with self._opened() as db:
            return select_followed(db)

    def current(self, key: str) -> Decision | None:
        """Give the last version for a group.

        Raises: RunError if the decisions cannot be read.
        """
        with self._reading() as db:
            return select_current(db, key)

    def history(self, key: str) -> list[Decision]:
        """List all versions for a group, the last one first.

        Raises: RunError if the decisions cannot be read.
        """
        with self._reading() as db:
            rows = db.execute(f"{SELECT} WHERE key = ? ORDER BY version DESC", (key,)).fetchall()
            return [from_cells(row) for row in rows]

    def trail(
        self, before: int | None = None, count: int = 100, reviewer: str | None = None
    ) -> list[Decision]:
        """List the decisions of all people, or of one, below a number, the last one first.

        Raises: RunError if the decisions cannot be read.
        """
        of_one, values = ("reviewer = ?", [reviewer]) if reviewer is not None else ("1", [])
        with self._reading() as db:
            rows = db.execute(
                f"{SELECT} WHERE {of_one} AND (? IS NULL OR number < ?)"
                " ORDER BY number DESC LIMIT ?",
                (*values, before, before, count),
            ).fetchall()
            return [from_cells(row) for row in rows]

    def all_current(self, inputs: Mapping[str, str | None] | None = None) -> Iterator[Decision]:
        """Yield the last decision on each group, in the order in which they were made.

        Decisions on photos that have changed since are left out. One on a group that has moved to
        another label with the same photos is given as one on that, unless that has a later one.
        `inputs` are the fingerprints of the photos by the key of their group; None reads them from
        the rows of the run.
        Raises: RunError if the decisions or the rows cannot be read.
        """
        query = f"{SELECT} WHERE number IN (SELECT number FROM current) ORDER BY number"
        inputs = self._photo_inputs(inputs)
        with self._reading() as db:
            moves = select_moves(db, inputs) if inputs else NO_MOVES
            for decision in self._standing(db, query, inputs):
                if decision.number in moves.keys:
                    yield give_to(decision, moves.keys[decision.number])
                elif decision.number not in moves.replaced:
                    yield decision

    def audited(self, inputs: Mapping[str, str | None] | None = None) -> Iterator[BlindDecision]:
        """Yield the last blind decision on each group that has one, as `all_current` does.

        A blind decision that was taken back does not count. One that is followed by a decision of
        somebody who saw the verdict does: what was said blind is what an audit counts.
        Raises: RunError if the decisions or the rows cannot be read.
        """
        query = f"{NOT_UNDONE} AND audit IS NOT NULL ORDER BY number"
        inputs = self._photo_inputs(inputs)
        with self._reading() as db:
            # Earlier ones of a group are 待定, or of photos that have changed since.
            yield from follow_blind(self._standing(db, query, inputs), inputs)

    def _photo_inputs(self, inputs: Mapping[str, str | None] | None) -> Mapping[str, str | None]:
        """Read the photos' fingerprints of the run, unless they are known or nothing needs them."""
        if inputs is not None:
            return inputs
        with self._reading() as db:
            query = "SELECT 1 FROM decisions WHERE inputs IS NOT NULL LIMIT 1"
            is_needed = db.execute(query).fetchone() is not None
        return read_photo_inputs(self._run_dir) if is_needed else {}

    @staticmethod
    def _standing(
        db: sqlite3.Connection, query: str, inputs: Mapping[str, str | None]
    ) -> Iterator[Decision]:
        """Yield the decisions of a query that were not taken back and hold for their photos.

        One that an undo lets hold again is signed by whoever made it, and when.
        """
        for row in db.execute(query):
            decision = from_cells(row)
            if decision.opinion is None:
                continue
            if not inputs or decision.stands_on(inputs.get(decision.key, decision.inputs)):
                yield sign_by_author(db, decision)

    def add(self, decision: Decision) -> Decision:
        """Write the next version for a group; on return it is on disk.

        Raises: ConflictError if that version exists, or is not the next one; RunError if it cannot
        be written, or decisions are made in a database.
        """
        try:
            with self._connect() as db:
                db.execute("BEGIN IMMEDIATE")
                if followed := select_followed(db):
                    raise RunError(describe_followed(followed))
                last = select_current(db, decision.key)
                if decision.version != (last.version if last else 0) + 1:
                    raise ConflictError(decision.key, describe_conflict(last))
                number = insert_decision(db, decision)
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: cannot be written: {error}; nothing is lost") from error
        except ValueError as error:  # an earlier version has a cell that no shenhe wrote
            raise damage_error(self.path, error) from error
        return decision.model_copy(update={"number": number})

    def last_of(self, reviewer: str, count: int) -> list[OwnDecision]:
        """List the last decisions of a person that were not taken back, the last one first.

        Raises: RunError if the decisions cannot be read.
        """
        with self._reading() as db:
            rows = db.execute(
                f"{NOT_UNDONE} AND reviewer = ? ORDER BY number DESC LIMIT ?", (reviewer, count)
            ).fetchall()
            own = [from_cells(row) for row in rows]
            return [OwnDecision(each, not is_decided_since(db, each)) for each in own]

    def last_on(self, mission: str, before: str, count: int) -> list[Decision]:
        """List the last decisions of all people on a mission before a time, the last one first.

        Raises: RunError if the decisions cannot be read.
        """
        with self._reading() as db:
            rows = db.execute(
                f"{SELECT} WHERE mission = ? AND at < ? ORDER BY number DESC LIMIT ?",
                (mission, before, count),
            ).fetchall()
        return [from_cells(row) for row in rows]

    def undo(self, reviewer: str, number: int | None = None) -> Decision | None:
        """Take back a decision of a person, the last one without its number.

        It gives the new version; None if that person has no such decision, or has taken it back.
        Raises: ConflictError if its group has been decided since; RunError.
        """
        with self._reading() as db:
            row = db.execute(
                f"{NOT_UNDONE} AND reviewer = ? AND ifnull(number = ?, 1)"
                " ORDER BY number DESC LIMIT 1",
                (reviewer, number),
            ).fetchone()
            if row is None:
                return None
            last = from_cells(row)
            current = select_current(db, last.key)
            if current is None or is_decided_since(db, last):
                raise ConflictError(last.key, describe_conflict(current))
            row = db.execute(
                f"{SELECT} WHERE key = ? AND version = ?", (last.key, last.version - 1)
            ).fetchone()
            before = from_cells(row) if row else None
        changes = {
            "version": current.version + 1,
            "opinion": before.opinion if before else None,
            "inputs": before.inputs if before else None,
            "audit": before.audit if before else None,
            "at": utc_now(),
            "undoes": last.number,
        }
        return self.add(last.model_copy(update=changes))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Connect for reading what is decided now.

        Raises: RunError if the decisions cannot be read or followed.
        """
        self.follow()
        with self._opened() as db:
            yield db

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """Connect to the file as it is.

        Raises: RunError if it cannot be read.
        """
        try:
            with self._connect() as db:
                yield db
        except sqlite3.Error as error:
            if is_damage(error):
                raise damage_error(self.path, error) from error
            raise RunError(f"{self.path}: cannot be read: {error}; nothing is lost") from error
        except ValueError as error:  # a cell that no shenhe wrote
            raise damage_error(self.path, error) from error

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as db:
            # An acknowledged decision survives a loss of power.
            db.execute("PRAGMA synchronous = FULL")
            yield db
