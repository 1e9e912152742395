"""Files of decisions that are copies: which database they follow, as they say themselves."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from shenhe.errors import spelled


class Followed(NamedTuple):
    """The database whose decisions a file is a copy of, and up to when; empty: it never was."""

    database: str
    until: str


def mark_followed(db: sqlite3.Connection, followed: Followed) -> None:
    """Write that a file follows a database. Raises: sqlite3.Error."""
    db.execute("DELETE FROM followed")
    db.execute("INSERT INTO followed VALUES (?, ?)", followed)


def describe_followed(followed: Followed) -> str:
    """Say where the decisions of a run are made, to whoever would write into their copy."""
    return (
        f"decisions of this run are made in {followed.database}: give {spelled('database')} to"
        " decide; nothing was written"
    )


def select_followed(db: sqlite3.Connection) -> Followed | None:
    """Read which database a file follows; None where it follows none. Raises: sqlite3.Error."""
    row = db.execute("SELECT database, until FROM followed").fetchone()
    return Followed._make(row) if row else None
