"""What people decided about a run's groups: RUN_DIR/review/decisions.sqlite, every word kept.

A decision is never changed: each is a further version of what is said of its group, and taking one
back is a version too. Two people cannot write the same version: the second is told. One that was
made on other photos than the group has now is kept as it is, and is not current any more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, Protocol, Self

from pydantic import Field
from pydantic_core import from_json

from shenhe.errors import ConflictError, RunError
from shenhe.files import sync_folder
from shenhe.row_types import Row, utc_now
from shenhe.rows.decision_tables import COLUMNS, SELECT, damaged, is_damage, lay_out
from shenhe.rows.seen import row_inputs
from shenhe.values import Label, Ruling

DEFERRED = "待定"
Choice = Literal["通过", "不通过", "待定"]
BUSY_SECONDS = 30.0


class Opinion(Row):
    """What one person says of a group: the choice, why, and what the model had wrong.

    `lines` are Stage-A lines as they should be, by photo; `descs` those of a caption's objects, by
    photo and object, where nothing means that there is no such thing.
    """

    choice: Choice
    comment: str = ""
    fault: str = ""
    lines: Mapping[str, str] = Field(default_factory=dict)
    descs: Mapping[str, Mapping[str, str | None]] = Field(default_factory=dict)


class Judged(Protocol):
    """A group with the model's verdict on it, such as an entry of a queue."""

    @property
    def key(self) -> str:
        """The key of the group."""

    @property
    def group_id(self) -> str:
        """Its id, which other groups may have, too."""

    @property
    def mission(self) -> str:
        """Its mission."""

    @property
    def label(self) -> Label | None:
        """What people had said of it before."""

    @property
    def verdict(self) -> Ruling | None:
        """What the model says; nothing where it is undecided."""

    @property
    def inputs(self) -> str | None:
        """The fingerprint of its photos without their times; nothing where it is unknown."""


class Decision(Row):
    """One version of what is said of a group; `said` is null where all was taken back.

    `verdict` is what the model had said then; `undoes` names the decision that this one takes back.
    `inputs` is the fingerprint of the photos that it was made on, without their times; null where
    that was unknown, as it was to earlier versions.
    """

    number: int = 0
    key: str
    group_id: str
    mission: str
    label: Label | None
    verdict: Ruling | None
    version: int = Field(ge=1)
    said: Opinion | None
    reviewer: str
    at: str
    undoes: int | None = None
    inputs: str | None = None

    @classmethod
    def on(cls, group: Judged, said: Opinion, reviewer: str, version: int = 1) -> Self:
        """Say something of a group, now."""
        return cls(
            key=group.key,
            group_id=group.group_id,
            mission=group.mission,
            label=group.label,
            verdict=group.verdict,
            version=version,
            said=said,
            reviewer=reviewer,
            at=utc_now(),
            inputs=group.inputs,
        )

    @property
    def overrules(self) -> bool:
        """Whether it decides otherwise than the model had, which had decided."""
        if self.said is None or self.verdict is None:
            return False
        return self.said.choice not in (DEFERRED, self.verdict)

    def stands_on(self, inputs: str | None) -> bool:
        """Whether it holds for a group with these photos: they are those that it was made on.

        One that knows its photos does not hold for unknown ones, as where Stage-A fails now. SQL
        has the same in `decision_tables.STANDS`.
        """
        return self.inputs is None or self.inputs == inputs


def decisions_file(run_dir: Path) -> Path:
    """Name the file of a run's decisions."""
    return run_dir / "review" / "decisions.sqlite"


class Decisions:
    """The decisions of one run; many threads and processes may read and write them at once."""

    def __init__(self, run_dir: Path) -> None:
        """Open them, or begin; damaged ones are told of, and nothing is written over them.

        Raises: RunError if they are damaged, cannot be written, or are of a later shenhe.
        """
        self.path, self._run_dir = decisions_file(run_dir), run_dir
        try:
            if not self.path.parent.is_dir():
                self.path.parent.mkdir(parents=True)
                sync_folder(run_dir)
            with self._connected() as db:
                lay_out(self.path, db)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be opened: {error.strerror}") from error
        except sqlite3.Error as error:
            if is_damage(error):
                raise damaged(self.path, error) from error
            raise RunError(f"{self.path}: cannot be opened: {error}") from error

    def current(self, key: str) -> Decision | None:
        """Give the last version of what is said of a group."""
        with self._open() as db:
            return _current(db, key)

    def history(self, key: str) -> list[Decision]:
        """List all versions, the last one first."""
        with self._open() as db:
            rows = db.execute(f"{SELECT} WHERE key = ? ORDER BY version DESC", (key,)).fetchall()
        return [decision_of(row) for row in rows]

    def trail(self, before: int | None = None, count: int = 100) -> list[Decision]:
        """List who decided what, the last one first, before that number."""
        with self._open() as db:
            rows = db.execute(
                f"{SELECT} WHERE ? IS NULL OR number < ? ORDER BY number DESC LIMIT ?",
                (before, before, count),
            ).fetchall()
        return [decision_of(row) for row in rows]

    def all_current(self, inputs: Mapping[str, str | None] | None = None) -> Iterator[Decision]:
        """Yield what is said of each group now, in the order in which it was said.

        What was said of other photos than a group has now is left out. `inputs` are those of the
        groups by their keys, as the run's rows have them unless they are given.
        Raises: RunError if the rows cannot be read.
        """
        with self._open() as db:
            query = f"{SELECT} WHERE number IN (SELECT number FROM current) ORDER BY number"
            for row in db.execute(query):
                decision = decision_of(row)
                if decision.said is None:
                    continue
                if inputs is None and decision.inputs is not None:
                    inputs = row_inputs(self._run_dir)
                if not inputs or decision.stands_on(inputs.get(decision.key, decision.inputs)):
                    yield decision

    def add(self, decision: Decision) -> Decision:
        """Write a version, which must be the next one; on return it is on disk.

        Raises: ConflictError if that version was written already; RunError if it cannot be.
        """
        try:
            with self._connected() as db:
                db.execute("BEGIN IMMEDIATE")
                found = _current(db, decision.key)
                if decision.version != (found.version if found else 0) + 1:
                    raise ConflictError(decision.key, _meanwhile(found))
                number = db.execute(_INSERT, cells_of(decision)).lastrowid
                choice = decision.said.choice if decision.said else None
                db.execute(
                    "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?)",
                    (decision.key, number, choice, decision.overrules),
                )
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: cannot be written: {error}; nothing is lost") from error
        except ValueError as error:  # what was said of the group before
            raise damaged(self.path, error) from error
        return decision.model_copy(update={"number": number})

    def undo(self, reviewer: str) -> Decision | None:
        """Take back the last decision of a person; give what is said now, None if there is none.

        Raises: ConflictError if somebody else has decided that group since; RunError.
        """
        with self._open() as db:
            row = db.execute(
                f"{_STANDING} AND reviewer = ? ORDER BY number DESC LIMIT 1", (reviewer,)
            ).fetchone()
            if row is None:
                return None
            last = decision_of(row)
            current = _current(db, last.key)
            since = db.execute(
                f"{_STANDING} AND key = ? AND number > ?", (last.key, last.number)
            ).fetchone()
            if current is None or since is not None:
                raise ConflictError(last.key, _meanwhile(current))
            row = db.execute(
                f"{SELECT} WHERE key = ? AND version = ?", (last.key, last.version - 1)
            ).fetchone()
            before = decision_of(row) if row else None
        undone = {
            "version": current.version + 1,
            "said": before.said if before else None,
            "inputs": before.inputs if before else None,
            "at": utc_now(),
            "undoes": last.number,
        }
        return self.add(last.model_copy(update=undone))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open them for reading. Raises: RunError where what is there cannot be read."""
        try:
            with self._connected() as db:
                yield db
        except sqlite3.Error as error:
            if is_damage(error):
                raise damaged(self.path, error) from error
            raise RunError(f"{self.path}: cannot be read: {error}; nothing is lost") from error
        except ValueError as error:  # a cell that no shenhe wrote
            raise damaged(self.path, error) from error

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)) as db:
            # What was acknowledged survives the loss of power, too.
            db.execute("PRAGMA synchronous = FULL")
            yield db


_STANDING = (
    f"{SELECT} WHERE undoes IS NULL"
    " AND number NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL)"
)
"""What was decided and has not been taken back."""
_INSERT = f"INSERT INTO decisions ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def _current(db: sqlite3.Connection, key: str) -> Decision | None:
    row = db.execute(
        f"{SELECT} WHERE number = (SELECT number FROM current WHERE key = ?)", (key,)
    ).fetchone()
    return decision_of(row) if row else None


def _meanwhile(current: Decision | None) -> str:
    who = f"{current.reviewer} decided at {current.at}" if current else "nobody has decided it"
    return f"this group is not as it was: {who}"


def cells_of(decision: Decision) -> tuple[object, ...]:
    """Give the cells of a decision, without its number."""
    told = decision.model_dump(exclude={"number"})
    told["said"] = decision.said.to_json() if decision.said else None
    return tuple(told[name] for name in COLUMNS.split(", "))


def decision_of(row: tuple[object, ...]) -> Decision:
    """Read a decision of its cells. Raises: ValueError where they are none."""
    told = dict(zip(["number", *COLUMNS.split(", ")], row, strict=True))
    told["said"] = from_json(str(told["said"])) if told["said"] else None
    return Decision.model_validate(told)
