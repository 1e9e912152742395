"""The tables of decisions, and whether a file that lies in their place is whole."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from shenhe.errors import RunError

LAYOUT = 2
"""Layout 1, of earlier versions, had no `inputs`; it is read, and gets that column when opened."""
COLUMNS = "key, group_id, mission, label, verdict, version, said, reviewer, at, undoes, inputs"
_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL, group_id TEXT NOT NULL, mission TEXT NOT NULL, label TEXT, verdict TEXT,
    version INTEGER NOT NULL, said TEXT, reviewer TEXT NOT NULL, at TEXT NOT NULL, undoes INTEGER,
    inputs TEXT,
    UNIQUE (key, version)
);
CREATE INDEX IF NOT EXISTS by_reviewer ON decisions (reviewer, number);
CREATE INDEX IF NOT EXISTS undone ON decisions (undoes) WHERE undoes IS NOT NULL;
CREATE TABLE IF NOT EXISTS current (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, choice TEXT, overrules INTEGER NOT NULL
) WITHOUT ROWID;
"""
_KNOWN = {"decisions", "current", "sqlite_sequence"}


def lay_out(path: Path, db: sqlite3.Connection) -> None:
    """Make the tables where there are none; else see that they are whole, and these.

    Raises: RunError where they are not; sqlite3.Error.
    """
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    if layout > LAYOUT:
        raise RunError(f"{path}: written by a later shenhe: use that one")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if layout == LAYOUT or tables:
        problem = problem_of(db)
        if problem or not tables <= _KNOWN:
            raise damaged(path, problem or f"tables of another program: {', '.join(tables)}")
    elif path.with_name("index.sqlite").exists():
        # The index of a review is made after its decisions are laid out, never before.
        raise damaged(path, "it is empty, and was not: a review has been there")
    if layout != LAYOUT:
        db.execute("PRAGMA journal_mode = WAL")
        _make(db)


def _make(db: sqlite3.Connection) -> None:
    """Make what tables there are not, and the column that layout 1 lacks, all at once or nothing.

    Of two who open a file of layout 1 the second finds it done.
    """
    db.execute("BEGIN IMMEDIATE")
    for statement in filter(str.strip, _TABLES.split(";")):
        db.execute(statement)
    if "inputs" not in {name for _, name, *_ in db.execute("PRAGMA table_info(decisions)")}:
        db.execute("ALTER TABLE decisions ADD COLUMN inputs TEXT")
    db.execute(f"PRAGMA user_version = {LAYOUT}")
    db.execute("COMMIT")


def problem_of(db: sqlite3.Connection) -> str:
    """Say what is wrong with a file of decisions, by SQLite's own check; nothing if it is whole."""
    try:
        (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if told != "ok":
            return " ".join(str(told).split())
        for query in (select(db), _CURRENT):
            db.execute(query).fetchone()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return str(error)
    return ""


def is_damage(error: sqlite3.Error) -> bool:
    """Tell a file that is none, or torn, from one that is locked, or cannot be reached."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


def damaged(path: Path, problem: object) -> RunError:
    """Say what is wrong with a file of decisions, and what to do."""
    return RunError(
        f"{path}: cannot be opened: decisions are damaged: {problem}; nothing was written over"
        f" them: put a copy back, or `shenhe fsck {path.parent.parent}` keeps it aside and recovers"
        " what can be read"
    )


SELECT = (
    "SELECT number, key, group_id, mission, label, verdict, version, said, reviewer, at, undoes,"
    " inputs FROM decisions"
)
_CURRENT = "SELECT key, number, choice, overrules FROM current"


def select(db: sqlite3.Connection) -> str:
    """Give SELECT for a file as it lies there, which may be of layout 1. Raises: sqlite3.Error."""
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    return SELECT if layout == LAYOUT else SELECT.replace("inputs", "NULL")


STANDS = (
    "(SELECT d.inputs IS NULL OR d.inputs IS g.inputs FROM decided.decisions d"
    " WHERE d.number = c.number)"
)
"""`Decision.stands_on` for a row `c` of current and a group `g`, where they lie in `decided`."""
