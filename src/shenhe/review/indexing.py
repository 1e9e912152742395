"""Making the index of a run: all rows are read once, their places and their need kept in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, TypeVar

from shenhe.errors import RunError
from shenhe.files import put_in_place
from shenhe.row_types import CaptionRow, Row, SummaryRow, VerdictRow
from shenhe.rows import fingerprints
from shenhe.rows.keys import failures_file
from shenhe.rows.need import queue_position
from shenhe.rows.readers import caption_files, read_failures, read_with_offsets
from shenhe.shards import list_rows_files, list_shards

LAYOUT = 2
RowT = TypeVar("RowT", bound=Row)


class Sources(NamedTuple):
    """The files that an index is made of."""

    stage_a: list[Path]
    stage_a_failures: list[Path]
    stage_b: list[Path]
    captions: list[Path]

    def all(self) -> list[Path]:
        """List them, in the order in which they are numbered."""
        return [*self.stage_a, *self.stage_a_failures, *self.stage_b, *self.captions]


def sources_of(run_dir: Path, captions: Sequence[Path]) -> Sources:
    """Find the files of a run.

    Raises: RunError if it has no verdicts, or named captions are not there.
    """
    stage_a, stage_b = (
        [one for path in list_rows_files(run_dir / name) for one in list_shards(path)]
        for name in ("stage_a", "stage_b")
    )
    if not stage_b:
        raise RunError(f"{run_dir}: no verdicts in {run_dir / 'stage_b'}; run `shenhe run` first")
    named = captions or caption_files(run_dir)
    found = [one for path in named for one in list_shards(path)]
    for path in captions:
        if not path.is_file():
            raise RunError(f"--captions {path}: no such file")
    failures = [failures_file(path) for path in list_rows_files(run_dir / "stage_a")]
    kinds = (stage_a, filter(Path.exists, failures), stage_b, found)
    return Sources(*([path.absolute() for path in kind] for kind in kinds))


def is_current(path: Path, sources: Sources) -> bool:
    """Whether an index was made of these rows as they are now."""
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
                return False
            seen = db.execute("SELECT path, size, changed FROM files").fetchall()
        except sqlite3.DatabaseError:  # damaged: it holds nothing that the rows do not
            return False
    return sorted(seen) == sorted(_stamp(one) for one in sources.all())


def make(path: Path, sources: Sources) -> None:
    """Write an index beside the old one, then put it in its place.

    Raises: RunError for rows of another form; sqlite3.Error.
    """
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_TABLES)
        db.execute("BEGIN")
        files = {one: number for number, one in enumerate(sources.all(), 1)}
        db.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?)",
            ((number, *_stamp(one)) for one, number in files.items()),
        )
        _gather(db, sources, files)
        db.execute("COMMIT")
        db.executescript(_NUMBERED)
        db.execute(f"PRAGMA user_version = {LAYOUT}")
    put_in_place(fresh, path)


def _gather(db: sqlite3.Connection, sources: Sources, files: Mapping[Path, int]) -> None:
    """Read all rows once; where a group or a photo has several, the last one counts."""
    for path, at, summary in _rows(sources.stage_a, SummaryRow):
        lines, inputs = "\n".join(summary.per_image.values()), summary.meta.inputs_hash
        db.execute(
            "INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?, ?)",
            (summary.key, files[path], at, lines, inputs and fingerprints.untimed(inputs)),
        )
    for path, at, row in _rows(sources.stage_b, VerdictRow):
        db.execute(
            "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.key,
                files[path],
                at,
                row.group_id,
                row.mission,
                row.label,
                row.verdict,
                row.p_pass,
                row.reason,
                queue_position(row),
            ),
        )
    for path in sources.stage_a_failures:
        for failure in read_failures(path):
            item = (failure.key, failure.item)
            db.execute("INSERT OR REPLACE INTO failed VALUES (?, ?)", item)
    for path, at, caption in _rows(sources.captions, CaptionRow):
        if len(caption.images) == 1:
            db.execute(
                "INSERT OR REPLACE INTO captions VALUES (?, ?, ?)",
                (caption.images[0], files[path], at),
            )


def _rows(paths: Iterable[Path], kind: type[RowT]) -> Iterator[tuple[Path, int, RowT]]:
    """Yield the rows of files and the byte at which each begins.

    Raises: RunError that names the line of another form.
    """
    for path in paths:
        for offset, row in read_with_offsets(path, kind):
            yield path, offset, row


def _stamp(path: Path) -> tuple[str, int, int]:
    facts = path.stat()
    return str(path), facts.st_size, facts.st_mtime_ns


_TABLES = """
CREATE TABLE files (number INTEGER PRIMARY KEY, path TEXT, size INTEGER, changed INTEGER);
CREATE TABLE lines (
    key TEXT PRIMARY KEY, file INTEGER, at INTEGER, lines TEXT, inputs TEXT
) WITHOUT ROWID;
CREATE TABLE verdicts (
    key TEXT PRIMARY KEY, file INTEGER, at INTEGER, group_id TEXT, mission TEXT, label TEXT,
    verdict TEXT, p_pass REAL, reason TEXT, need REAL
) WITHOUT ROWID;
CREATE TABLE failed (key TEXT PRIMARY KEY, item TEXT) WITHOUT ROWID;
CREATE TABLE captions (image TEXT PRIMARY KEY, file INTEGER, at INTEGER) WITHOUT ROWID;
"""
_NUMBERED = """
BEGIN;
CREATE TABLE groups (
    number INTEGER PRIMARY KEY, key TEXT UNIQUE, group_id TEXT, mission TEXT, label TEXT,
    verdict TEXT, p_pass REAL, reason TEXT, against INTEGER,
    verdict_file INTEGER, verdict_at INTEGER, summary_file INTEGER, summary_at INTEGER, inputs TEXT
);
INSERT INTO groups (key, group_id, mission, label, verdict, p_pass, reason, against,
    verdict_file, verdict_at, summary_file, summary_at, inputs)
SELECT v.key, v.group_id, v.mission, v.label, v.verdict, v.p_pass, v.reason,
    v.need = 1.0, v.file, v.at, l.file, l.at, l.inputs
FROM verdicts v LEFT JOIN lines l ON l.key = v.key ORDER BY v.need, v.mission, v.file, v.at;
CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'trigram');
INSERT INTO texts (rowid, text)
SELECT g.number, g.group_id || char(10) || g.reason || char(10) || coalesce(l.lines, '')
FROM groups g LEFT JOIN lines l ON l.key = g.key;
CREATE TABLE missions (name TEXT);
INSERT INTO missions SELECT mission FROM groups GROUP BY mission ORDER BY mission;
DROP TABLE lines;
DROP TABLE verdicts;
COMMIT;
"""
