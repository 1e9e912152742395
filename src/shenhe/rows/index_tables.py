"""Tables of a row index, and whether the contents were written by it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

LAYOUT = 3
LOCKED_SECONDS = 1.0
"""Wait for another process; the output's lock keeps runs away, so that a longer wait is in vain."""
DAMAGED = (sqlite3.Error, ValueError, TypeError, OverflowError)
"""Errors of reading an index that is torn, of another layout, or where none can be written."""


class KeyCounts(NamedTuple):
    """Numbers of keys in an index: all, and those that are not settled."""

    keys: int
    unsettled: int


def open_index(path: Path | None) -> sqlite3.Connection:
    """Open an index, or make an empty one; without a path it is temporary.

    Raises: what DAMAGED lists, if something else lies there.
    """
    db = sqlite3.connect(
        path or "",
        timeout=LOCKED_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # whichever thread collects the garbage may close it
    )
    try:
        # A killed process loses nothing by that; a power cut costs the index.
        db.execute("PRAGMA synchronous = OFF")
        # The output's own lock keeps others away; a system lock for each query takes twice as
        # long as the query.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        (layout,) = db.execute("PRAGMA user_version").fetchone()
        if layout != LAYOUT:
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise ValueError(f"of layout {layout}")
            db.executescript(_TABLES)
            db.execute(INSERT_STATE, _UNREAD)
    except DAMAGED:
        db.close()
        raise
    return db


def count_keys(db: sqlite3.Connection) -> KeyCounts:
    """Count the keys.

    Raises: ValueError for a cell of a type that no index holds; sqlite3.Error.
    """
    keys, unsettled, settled, texts = db.execute(_COUNT).fetchone()
    if not keys == unsettled + settled == texts:
        raise ValueError("cells of other types")
    return KeyCounts(keys, unsettled)


_TABLES = f"""
BEGIN;
CREATE TABLE rows (key TEXT PRIMARY KEY, settled INTEGER, inputs_hash TEXT) WITHOUT ROWID;
CREATE TABLE seen (shard INTEGER, offset INTEGER, tail BLOB, keys INTEGER, unsettled INTEGER);
PRAGMA user_version = {LAYOUT};
COMMIT;
"""
_UNREAD = (1, 0, b"", 0, 0)
"""State of an index that has read nothing."""
INSERT_STATE = "INSERT INTO seen VALUES (?, ?, ?, ?, ?)"
SELECT_STATE = "SELECT shard, offset, tail, keys, unsettled FROM seen"
DELETE_STATE = "DELETE FROM seen"
_COUNT = """
SELECT count(*), coalesce(sum(settled IS 0), 0), coalesce(sum(settled IS 1), 0),
    coalesce(sum(typeof(key) = 'text'), 0) FROM rows
"""
PAGE = "SELECT key FROM rows WHERE key > ? ORDER BY key LIMIT ?"
UNSETTLED_PAGE = "SELECT key FROM rows WHERE key > ? AND NOT settled ORDER BY key LIMIT ?"
FIND = "SELECT settled, inputs_hash FROM rows WHERE key = ?"
PUT = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"
DELETE = "DELETE FROM rows WHERE key = ?"
