"""What is read from a file of decisions, and written to it, over one connection."""

from __future__ import annotations

import sqlite3

from shenhe.rows.decision_rows import Decision, from_cells, to_cells
from shenhe.rows.decision_tables import COLUMNS, SELECT

NOT_UNDONE = (
    f"{SELECT} WHERE undoes IS NULL"
    " AND number NOT IN (SELECT undoes FROM decisions WHERE undoes IS NOT NULL)"
)
"""Decisions that undo nothing, and that no other one takes back."""
_INSERT = f"INSERT INTO decisions (number, {COLUMNS}) VALUES ({', '.join(13 * '?')})"


def insert_decision(db: sqlite3.Connection, decision: Decision, number: int | None = None) -> int:
    """Insert a decision, which is then the current one of its group; give its number.

    None takes the next number. Raises: sqlite3.Error.
    """
    inserted = db.execute(_INSERT, (number, *to_cells(decision))).lastrowid
    choice = decision.opinion.choice if decision.opinion else None
    current = (decision.key, inserted, choice, decision.overrules)
    db.execute("INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?)", current)
    return int(inserted or 0)


def describe_conflict(current: Decision | None) -> str:
    """Say who has decided a group that somebody else wanted to decide."""
    who = f"{current.reviewer} decided at {current.at}" if current else "nobody has decided it"
    return f"this group is not as it was: {who}"


def select_current(db: sqlite3.Connection, key: str) -> Decision | None:
    """Give the last version for a group.

    Raises: sqlite3.Error; ValueError for a cell that no shenhe wrote.
    """
    row = db.execute(
        f"{SELECT} WHERE number = (SELECT number FROM current WHERE key = ?)", (key,)
    ).fetchone()
    return from_cells(row) if row else None


def sign_by_author(db: sqlite3.Connection, decision: Decision) -> Decision:
    """Sign a decision by whoever made it, and when: an undo lets an earlier one hold again.

    Raises: sqlite3.Error; ValueError for a cell that no shenhe wrote.
    """
    author = decision
    while author.undoes is not None:
        row = db.execute(
            f"{SELECT} WHERE key = ? AND version ="
            " (SELECT version - 1 FROM decisions WHERE number = ?)",
            (author.key, author.undoes),
        ).fetchone()
        if row is None:  # of a version that a damaged file has lost
            return decision
        author = from_cells(row)
    return decision.model_copy(update={"reviewer": author.reviewer, "at": author.at})


def is_decided_since(db: sqlite3.Connection, decision: Decision) -> bool:
    """Whether its group has a later decision that was not taken back.

    Raises: sqlite3.Error.
    """
    values = (decision.key, decision.number)
    return db.execute(f"{NOT_UNDONE} AND key = ? AND number > ?", values).fetchone() is not None
