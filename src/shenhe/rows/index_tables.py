"""The tables of a row index, and whether what is found in them was written by it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

LAYOUT = 3
LOCKED_SECONDS = 1.0
"""The output's own lock keeps other runs away: whoever holds the index longer has lost it."""
DAMAGED = (sqlite3.Error, ValueError, TypeError, OverflowError)
"""What reading an index sets off that is torn, of another make, or in a place that takes none."""


class Counted(NamedTuple):
    """What an index holds: its keys, and those of them that are not settled."""

    keys: int
    unsettled: int


def opened(path: Path | None) -> sqlite3.Connection:
    """Open an index, or begin one; without a path it is kept nowhere.

    Raises: what DAMAGED lists, where another thing lies there.
    """
    db = sqlite3.connect(
        path or "",
        timeout=LOCKED_SECONDS,
        isolation_level=None,
        check_same_thread=False,  # whichever thread collects the garbage may close it
    )
    try:
        # Killed processes lose nothing by that; a machine that loses power, the index.
        db.execute("PRAGMA synchronous = OFF")
        # The output's own lock keeps others away: asking the system each time takes twice as
        # long as looking up.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        (layout,) = db.execute("PRAGMA user_version").fetchone()
        if layout != LAYOUT:
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                raise ValueError(f"of layout {layout}")
            db.executescript(_TABLES)
            db.execute(SEE, _UNREAD)
    except DAMAGED:
        db.close()
        raise
    return db


def counted(db: sqlite3.Connection) -> Counted:
    """Count the keys.

    Raises: ValueError where a cell is of a type that no index holds; sqlite3.Error.
    """
    keys, unsettled, settled, texts = db.execute(_COUNT).fetchone()
    if not keys == unsettled + settled == texts:
        raise ValueError("cells of other types")
    return Counted(keys, unsettled)


_TABLES = f"""
BEGIN;
CREATE TABLE rows (key TEXT PRIMARY KEY, settled INTEGER, inputs_hash TEXT) WITHOUT ROWID;
CREATE TABLE seen (shard INTEGER, offset INTEGER, tail BLOB, keys INTEGER, unsettled INTEGER);
PRAGMA user_version = {LAYOUT};
COMMIT;
"""
_UNREAD = (1, 0, b"", 0, 0)
"""What an index has seen that is new."""
SEE = "INSERT INTO seen VALUES (?, ?, ?, ?, ?)"
SEEN = "SELECT shard, offset, tail, keys, unsettled FROM seen"
_COUNT = """
SELECT count(*), coalesce(sum(settled IS 0), 0), coalesce(sum(settled IS 1), 0),
    coalesce(sum(typeof(key) = 'text'), 0) FROM rows
"""
PAGE = "SELECT key FROM rows WHERE key > ? ORDER BY key LIMIT ?"
UNSETTLED_PAGE = "SELECT key FROM rows WHERE key > ? AND NOT settled ORDER BY key LIMIT ?"
FIND = "SELECT settled, inputs_hash FROM rows WHERE key = ?"
PUT = "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)"
