"""What assignments go by, noted in the index: the bucket and the region of each group."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from shenhe.errors import RunError
from shenhe.review.index.sources import find_sources
from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.rows.foreign import extra_texts
from shenhe.rows.readers import read_with_offsets
from shenhe.team.assignments import MAX_REGION
from shenhe.team.shares import bucket_of

PART_OF_ID: Final = "group_id:"
"""The field `group_id:2` is the second part of a group's id, between hyphens."""
MAX_REGIONS: Final = 200
_TABLES: Final = (
    "DROP TABLE IF EXISTS owners",
    "CREATE TABLE owners (number INTEGER PRIMARY KEY, bucket INTEGER, region TEXT NOT NULL)",
    "DROP TABLE IF EXISTS owners_by",
    "CREATE TABLE owners_by (field TEXT NOT NULL)",
)


def note_owners(path: Path, run_dir: Path, field: str) -> None:
    """Note the bucket of each group, and the region that a field says, unless that was done.

    Raises: RunError if the index cannot be written, or the rows cannot be read.
    """
    try:
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
            if _noted(db) == field:
                return
            regions = dict(_read_regions(run_dir, field))
            db.execute("BEGIN IMMEDIATE")
            for statement in _TABLES:
                db.execute(statement)
            groups = db.execute("SELECT number, key FROM groups").fetchall()
            cells = ((number, bucket_of(key), regions.get(key, "")) for number, key in groups)
            db.executemany("INSERT INTO owners VALUES (?, ?, ?)", cells)
            db.execute("INSERT INTO owners_by VALUES (?)", (field,))
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise RunError(f"{path}: cannot be written: {error}") from error


def list_regions(path: Path) -> list[tuple[str, int]]:
    """List the regions that are noted, with their groups, the largest first.

    Raises: RunError if the index cannot be read.
    """
    query = (
        "SELECT region, count(*) FROM owners WHERE region <> '' GROUP BY region"
        " ORDER BY 2 DESC, 1 LIMIT ?"
    )
    try:
        with closing(sqlite3.connect(path, timeout=30)) as db:
            return db.execute(query, (MAX_REGIONS,)).fetchall()
    except sqlite3.Error as error:
        raise RunError(f"{path}: cannot be read: {error}") from error


def _noted(db: sqlite3.Connection) -> str | None:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'owners_by'").fetchone():
        return None
    cells = db.execute("SELECT field FROM owners_by").fetchone()
    return str(cells[0]) if cells else None


def _read_regions(run_dir: Path, field: str) -> Iterator[tuple[str, str]]:
    """Yield the region of each group that has one, which a long text is not.

    What verdicts say counts over lines.
    """
    sources, read = find_sources(run_dir, ()), _reader(field)
    for path in sources.stage_a:
        for _, line in read_with_offsets(path, SummaryRow):
            if 0 < len(region := read(line)) <= MAX_REGION:
                yield line.key, region
    for path in sources.stage_b:
        for _, verdict in read_with_offsets(path, VerdictRow):
            if 0 < len(region := read(verdict)) <= MAX_REGION:
                yield verdict.key, region


def _reader(field: str) -> Callable[[SummaryRow | VerdictRow], str]:
    part = field.removeprefix(PART_OF_ID)
    if field.startswith(PART_OF_ID) and part.isdecimal() and int(part) > 0:
        return lambda row: _part_of(row.group_id, int(part))
    return lambda row: dict(extra_texts(row.extra)).get(field, "") if row.extra else ""


def _part_of(group_id: str, number: int) -> str:
    parts = group_id.split("-")
    return parts[number - 1] if number <= len(parts) else ""
