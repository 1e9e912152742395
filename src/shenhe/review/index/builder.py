"""Building of the index: all rows are read once, their offsets and their need kept in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from shenhe.files import put_in_place
from shenhe.photos.reuse import ReuseIndex
from shenhe.review.index.sources import Sources, stamp_file
from shenhe.row_types import CaptionRow, SummaryRow, VerdictRow
from shenhe.rows import fingerprints
from shenhe.rows.audits import AuditPlan
from shenhe.rows.failures import is_of_photo
from shenhe.rows.keys import in_one_spelling
from shenhe.rows.need import queue_position
from shenhe.rows.outcomes import Outcome, is_safer, warn_of_several
from shenhe.rows.photo_marks import facts_of, mark_photos, opened_index, owner_of, write_uses
from shenhe.rows.readers import read_failures, read_with_offsets
from shenhe.values import PASS
from shenhe.web.pictures import photo_tag

LAYOUT = 6


def is_current(path: Path, sources: Sources, plan: AuditPlan | None) -> bool:
    """Whether an index was built from these files in their present state, and for this audit."""
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            if db.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
                return False
            stamps = db.execute("SELECT path, size, changed FROM files").fetchall()
            seeds = [seed for (seed,) in db.execute("SELECT seed FROM plans")]
        except sqlite3.DatabaseError:  # damaged; everything in it can be read from the rows again
            return False
    if seeds != ([plan.seed] if plan else []):
        return False
    return sorted(stamps) == sorted(stamp_file(source) for source in sources.all())


def build(path: Path, sources: Sources, plan: AuditPlan | None) -> None:
    """Write an index beside the old one, then replace that.

    Raises: RunError for rows of another form; sqlite3.Error.
    """
    new_path = path.with_suffix(".new")
    new_path.unlink(missing_ok=True)
    with closing(sqlite3.connect(new_path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_TABLES)
        db.execute("BEGIN")
        numbers = {source: number for number, source in enumerate(sources.all(), 1)}
        db.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?)",
            ((number, *stamp_file(source)) for source, number in numbers.items()),
        )
        with opened_index(sources.stage_a, sources.earlier) as reuse:
            _insert_lines(db, sources, numbers, reuse)
        _insert_verdicts(db, sources, numbers)
        _insert_failures(db, sources)
        _insert_captions(db, sources, numbers)
        db.execute("COMMIT")
        db.executescript(_ORDERED_TABLES)
        if plan:
            _insert_audits(db, plan)
        db.execute(f"PRAGMA user_version = {LAYOUT}")
    put_in_place(new_path, path)


# Where a group or a photo has several rows, the last one counts.


def _insert_lines(
    db: sqlite3.Connection, sources: Sources, numbers: Mapping[Path, int], reuse: ReuseIndex
) -> None:
    for path in sources.stage_a:
        for offset, row in read_with_offsets(path, SummaryRow):
            lines, inputs_hash = "\n".join(row.per_image.values()), row.meta.inputs_hash
            inputs = inputs_hash and fingerprints.without_times(inputs_hash)
            reused = reuse.find(owner_of(row), facts_of(row))
            marked = bool(mark_photos(row, reused).all_flags)
            uses = write_uses(reused) if reused else None
            photos, tag = len(row.images), photo_tag(row.images[0]) if row.images else ""
            db.execute(
                "INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (row.key, numbers[path], offset, lines, inputs, marked, uses, photos, tag),
            )


def _insert_verdicts(db: sqlite3.Connection, sources: Sources, numbers: Mapping[Path, int]) -> None:
    """Insert one verdict of each group: of several, the one to act upon."""
    further = 0
    for path in sources.stage_b:
        for offset, row in read_with_offsets(path, VerdictRow):
            outcome, spelling = Outcome.of(row), in_one_spelling(row.key)
            cells = (
                spelling,
                row.key,
                numbers[path],
                offset,
                row.group_id,
                row.mission,
                row.label,
                row.verdict,
                row.p_pass,
                row.reason,
                queue_position(row),
                outcome.ruling,
                outcome.log_odds,
                " ".join(outcome.why),
            )
            inserted = db.execute(_INSERT_VERDICT.format(conflict="IGNORE"), cells).rowcount
            if not inserted:
                further += 1
                query = "SELECT verdict FROM verdicts WHERE spelling = ?"
                if is_safer(row.verdict, db.execute(query, (spelling,)).fetchone()[0]):
                    db.execute(_INSERT_VERDICT.format(conflict="REPLACE"), cells)
    if further:
        warn_of_several(sources.stage_b[0].parent, further)


def _insert_failures(db: sqlite3.Connection, sources: Sources) -> None:
    for path in sources.stage_a_failures:
        for failure in filter(is_of_photo, read_failures(path)):
            db.execute("INSERT OR REPLACE INTO failed VALUES (?, ?)", (failure.key, failure.item))


def _insert_captions(db: sqlite3.Connection, sources: Sources, numbers: Mapping[Path, int]) -> None:
    for path in sources.captions:
        for offset, row in read_with_offsets(path, CaptionRow):
            if len(row.images) == 1:
                db.execute(
                    "INSERT OR REPLACE INTO captions VALUES (?, ?, ?)",
                    (row.images[0], numbers[path], offset),
                )


def _insert_audits(db: sqlite3.Connection, plan: AuditPlan) -> None:
    """Number the groups that the machine passed in the order of their draw, whatever the share."""
    passed = db.execute("SELECT number, key FROM groups WHERE verdict = ?", (PASS,)).fetchall()
    drawn = sorted((plan.number(key), number, plan.ticket(key)) for number, key in passed)
    db.execute("BEGIN")
    db.execute("INSERT INTO plans VALUES (?)", (plan.seed,))
    db.executemany("INSERT INTO audits (draw, number, ticket) VALUES (?, ?, ?)", drawn)
    db.execute("COMMIT")


_INSERT_VERDICT = f"INSERT OR {{conflict}} INTO verdicts VALUES ({', '.join(14 * '?')})"
_TABLES = """
CREATE TABLE files (number INTEGER PRIMARY KEY, path TEXT, size INTEGER, changed INTEGER);
CREATE TABLE lines (
    key TEXT PRIMARY KEY, file INTEGER, at INTEGER, lines TEXT, inputs TEXT, marked INTEGER,
    uses TEXT, photos INTEGER, tag TEXT
) WITHOUT ROWID;
CREATE TABLE verdicts (
    spelling TEXT PRIMARY KEY, key TEXT, file INTEGER, at INTEGER, group_id TEXT, mission TEXT,
    label TEXT, verdict TEXT, p_pass REAL, reason TEXT, need REAL, ruling TEXT, log_odds REAL,
    why TEXT
) WITHOUT ROWID;
CREATE TABLE failed (key TEXT PRIMARY KEY, item TEXT) WITHOUT ROWID;
CREATE TABLE captions (image TEXT PRIMARY KEY, file INTEGER, at INTEGER) WITHOUT ROWID;
CREATE TABLE plans (seed TEXT);
CREATE TABLE audits (
    rank INTEGER PRIMARY KEY, draw REAL, number INTEGER UNIQUE, ticket TEXT UNIQUE
);
"""
_ORDERED_TABLES = """
BEGIN;
CREATE TABLE groups (
    number INTEGER PRIMARY KEY, key TEXT UNIQUE, group_id TEXT, mission TEXT, label TEXT,
    verdict TEXT, p_pass REAL, reason TEXT, against INTEGER,
    verdict_file INTEGER, verdict_at INTEGER, summary_file INTEGER, summary_at INTEGER, inputs TEXT,
    marked INTEGER, uses TEXT, why TEXT NOT NULL, sure REAL NOT NULL,
    photos INTEGER NOT NULL, tag TEXT NOT NULL
);
INSERT INTO groups (key, group_id, mission, label, verdict, p_pass, reason, against,
    verdict_file, verdict_at, summary_file, summary_at, inputs, marked, uses, why, sure,
    photos, tag)
SELECT v.key, v.group_id, v.mission, v.label, v.verdict, v.p_pass, v.reason,
    v.need = 1.0, v.file, v.at, l.file, l.at, l.inputs, l.marked, l.uses, v.why,
    ifnull(v.p_pass, -1.0), ifnull(l.photos, -1), ifnull(l.tag, '')
FROM verdicts v LEFT JOIN lines l ON l.key = v.key ORDER BY v.need, v.mission, v.file, v.at;
CREATE INDEX by_sure ON groups (sure);
CREATE INDEX by_mission ON groups (mission);
CREATE INDEX by_id ON groups (group_id);
CREATE INDEX by_photos ON groups (photos);
CREATE INDEX facets ON groups (mission, verdict, against, marked);
CREATE VIRTUAL TABLE texts USING fts5(text, tokenize = 'trigram');
INSERT INTO texts (rowid, text)
SELECT g.number, g.group_id || char(10) || g.reason || char(10) || coalesce(l.lines, '')
FROM groups g LEFT JOIN lines l ON l.key = g.key;
CREATE TABLE missions (name TEXT, size INTEGER);
INSERT INTO missions SELECT mission, count(*) FROM groups GROUP BY mission ORDER BY mission;
CREATE TABLE doubts (rank INTEGER PRIMARY KEY, number INTEGER UNIQUE);
INSERT INTO doubts (number)
SELECT g.number FROM verdicts v JOIN groups g ON g.key = v.key
WHERE v.label = 'fail' AND v.ruling = '通过' ORDER BY v.log_odds DESC, g.number;
DROP TABLE lines;
DROP TABLE verdicts;
COMMIT;
"""
