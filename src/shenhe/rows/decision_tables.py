"""The SQLite tables of decisions, and the check that an existing file holds them undamaged."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from shenhe.errors import RunError

LAYOUT = 5
"""Earlier layouts can be read, and opening them adds the columns that they lack: see `_ADDED`.

Layout 4 has the same columns as 3, with opinions that earlier versions cannot read; layout 5 has
the table `followed`.
"""
COLUMNS = (
    "key, group_id, mission, label, verdict, version, said, reviewer, at, undoes, inputs, audit"
)
"""All but `number`. `said` holds the opinion as JSON."""
_TABLES = """
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL, group_id TEXT NOT NULL, mission TEXT NOT NULL, label TEXT, verdict TEXT,
    version INTEGER NOT NULL, said TEXT, reviewer TEXT NOT NULL, at TEXT NOT NULL, undoes INTEGER,
    inputs TEXT, audit REAL,
    UNIQUE (key, version)
);
CREATE TABLE IF NOT EXISTS current (
    key TEXT PRIMARY KEY, number INTEGER NOT NULL, choice TEXT, overrules INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS followed (database TEXT NOT NULL, until TEXT NOT NULL);
"""
"""`followed` has a row where the decisions are made in a database, and this file is a copy."""
_INDEXES = """
CREATE INDEX IF NOT EXISTS by_reviewer ON decisions (reviewer, number);
CREATE INDEX IF NOT EXISTS undone ON decisions (undoes) WHERE undoes IS NOT NULL;
CREATE INDEX IF NOT EXISTS blind ON decisions (key) WHERE audit IS NOT NULL;
"""
_ADDED = {"inputs": ("TEXT", 2), "audit": ("REAL", 3)}
"""Columns that were added later: their type, and the layout that has them first."""
_TABLE_NAMES = {"decisions", "current", "followed", "sqlite_sequence"}
SELECT = (
    "SELECT number, key, group_id, mission, label, verdict, version, said, reviewer, at, undoes,"
    " inputs, audit FROM decisions"
)
_SELECT_CURRENT = "SELECT key, number, choice, overrules FROM current"
STANDS = (
    "(SELECT d.inputs IS NULL OR d.inputs IS g.inputs FROM decided.decisions d"
    " WHERE d.number = c.number)"
)
"""`Decision.stands_on` in SQL, for a row `c` of `decided.current` and a row `g` of groups."""


def prepare_tables(path: Path, db: sqlite3.Connection, *, is_copy: bool = False) -> None:
    """Create the tables in a new file, or check those of an existing one.

    A file that was there and is empty now is no damage where it `is_copy` of a database.
    Raises: RunError for a damaged file, one of another program or of a later version;
    sqlite3.Error.
    """
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    if layout > LAYOUT:
        raise RunError(f"{path}: written by a later shenhe: use that one")
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if layout == LAYOUT or tables:
        problem = find_damage(db)
        if problem or not tables <= _TABLE_NAMES:
            names = ", ".join(sorted(tables))
            raise damage_error(path, problem or f"tables of another program: {names}")
    elif not is_copy and path.with_name("index.sqlite").exists():
        # The index of a review is always created after the tables of its decisions.
        raise damage_error(path, "it is empty, and was not: a review has been there")
    if layout != LAYOUT:
        db.execute("PRAGMA journal_mode = WAL")
        _create_tables(db)


def _create_tables(db: sqlite3.Connection) -> None:
    """Create missing tables, and the columns that an earlier layout lacks, in one transaction.

    Of two processes that open such a file, the second changes nothing.
    """
    db.execute("BEGIN IMMEDIATE")
    _execute_each(db, _TABLES)
    present = {name for _, name, *_ in db.execute("PRAGMA table_info(decisions)")}
    for name, (kind, _) in _ADDED.items():
        if name not in present:
            db.execute(f"ALTER TABLE decisions ADD COLUMN {name} {kind}")
    _execute_each(db, _INDEXES)
    db.execute(f"PRAGMA user_version = {LAYOUT}")
    db.execute("COMMIT")


def _execute_each(db: sqlite3.Connection, statements: str) -> None:
    for statement in filter(str.strip, statements.split(";")):
        db.execute(statement)


def find_damage(db: sqlite3.Connection) -> str:
    """Describe the damage of a file of decisions by SQLite's own check; empty for an intact file.

    Raises: sqlite3.Error for a file that is locked or out of reach.
    """
    try:
        (result,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            return " ".join(str(result).split())
        for query in (select_statement(db), _SELECT_CURRENT):
            db.execute(query).fetchone()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return str(error)
    return ""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means a damaged file, and not one that is locked or out of reach."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


def damage_error(path: Path, problem: object) -> RunError:
    """Create the error of a damaged file of decisions, which names the remedies."""
    return RunError(
        f"{path}: cannot be opened: decisions are damaged: {problem}; nothing was written over"
        f" them: put a copy back, or `shenhe fsck {path.parent.parent}` keeps it aside and recovers"
        " what can be read"
    )


def select_statement(db: sqlite3.Connection) -> str:
    """Give `SELECT` for a file of this layout or of an earlier one.

    Raises: sqlite3.Error.
    """
    (layout,) = db.execute("PRAGMA user_version").fetchone()
    select = SELECT
    for name, (_, first_layout) in _ADDED.items():
        if layout < first_layout:
            select = select.replace(name, "NULL")
    return select
