"""Where each group of a run stands in its files, what it says, and how much it needs a look.

Made of the rows, in SQLite beside the decisions, and made anew whenever the rows have changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from shenhe.errors import IntakeError, RunError
from shenhe.intake import group_photos
from shenhe.locations import locate
from shenhe.photos import is_photo
from shenhe.records import (
    FAIL,
    PASS,
    CaptionRow,
    Label,
    Row,
    Ruling,
    SummaryRow,
    VerdictRow,
)
from shenhe.runs.captions import caption_files
from shenhe.runs.decisions import Decisions
from shenhe.runs.ledger import parse_row, read_shard
from shenhe.runs.output import failures_file, key_of
from shenhe.shards import rows_files, shards

LAYOUT = 1
EXPECTED: Mapping[str, Ruling] = {"pass": PASS, "fail": FAIL}
TRIGRAM = 3
"""The shortest words that the full-text index finds by itself."""
States = ("open", "decided", "overruled", "deferred")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which groups are looked at; empty ones let all through.

    `state`: open (nobody decided), decided, overruled (otherwise than the model), deferred (待定).
    `verdict`: 通过, 不通过 or undecided. `against`: only those judged against their label.
    """

    mission: str = ""
    verdict: str = ""
    state: str = ""
    against: bool = False
    text: str = ""

    def query(self) -> dict[str, str]:
        """Give them as the words of an address, without those that say nothing."""
        told = {"mission": self.mission, "verdict": self.verdict, "state": self.state}
        told |= {"against": "1" if self.against else "", "text": self.text}
        return {name: value for name, value in told.items() if value}


class Entry(NamedTuple):
    """A line of the queue: what a group is, what the model and people said of it."""

    number: int
    key: str
    group_id: str
    mission: str
    label: Label | None
    verdict: Ruling | None
    p_pass: float | None
    reason: str
    choice: str | None
    overrules: bool


class Progress(NamedTuple):
    """How many groups there are, and how many people have decided."""

    groups: int
    decided: int
    overruled: int


@dataclass(frozen=True, slots=True)
class Found:
    """A group with its rows: captions by the path of their photo, lines by the photo's key.

    `summary` is None where Stage-A has not been completed: then the photos are those that lie
    beside the one that failed, and there are no lines.
    """

    entry: Entry
    verdict: VerdictRow
    summary: SummaryRow | None
    images: Sequence[str]
    captions: Mapping[str, CaptionRow]

    @property
    def lines(self) -> Mapping[str, str]:
        """Stage-A's lines."""
        return self.summary.per_image if self.summary else {}


class Index:
    """The groups of a run, numbered from 1 by how much they need a look."""

    def __init__(self, run_dir: Path, captions: Sequence[Path] = ()) -> None:
        """Open the index of a run folder, and make it anew where the rows are not those it knows.

        Raises: RunError if the folder holds no verdicts, or rows of another form.
        """
        self._sources = _sources(run_dir, captions)
        self.decisions = Decisions(run_dir)
        self.path = self.decisions.path.with_name("index.sqlite")
        try:
            if not self._is_current():
                self._make()
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: cannot be written: {error}") from error

    def missions(self) -> list[str]:
        """List the missions of the run."""
        with self._open() as db:
            found = db.execute("SELECT name FROM missions ORDER BY rowid").fetchall()
        return [name for (name,) in found]

    def page(self, filters: Filters, after: int = 0, count: int = 50) -> list[Entry]:
        """List groups in the order of the queue, those after a number."""
        return self._entries(filters, "g.number > ?", after, "ASC", count)

    def following(self, filters: Filters, number: int, *, open_only: bool = False) -> Entry | None:
        """Find the next group of the queue, or the next that nobody has decided yet."""
        if open_only and not filters.state:
            filters = replace(filters, state="open")
        return next(iter(self._entries(filters, "g.number > ?", number, "ASC", 1)), None)

    def preceding(self, filters: Filters, number: int) -> Entry | None:
        """Find the group before one in the queue."""
        return next(iter(self._entries(filters, "g.number < ?", number, "DESC", 1)), None)

    def progress(self, filters: Filters) -> Progress:
        """Count the groups that the filters let through, whatever was decided of them."""
        where, values = _where(replace(filters, state=""))
        with self._open() as db:
            counted = db.execute(
                "SELECT count(*), count(c.choice), coalesce(sum(c.overrules), 0)"
                f" FROM {_JOINED} WHERE {where}",
                values,
            ).fetchone()
        return Progress(*map(int, counted))

    def matching(self, filters: Filters) -> int:
        """Count the groups that the filters let through."""
        where, values = _where(filters)
        with self._open() as db:
            query = f"SELECT count(*) FROM {_JOINED} WHERE {where}"
            return int(db.execute(query, values).fetchone()[0])

    def group(self, number: int) -> Found | None:
        """Read a group's rows from their files; None where there is no such number."""
        with self._open() as db:
            return self._found(db, "g.number = ?", number)

    def group_of(self, key: str) -> Found | None:
        """Read the rows of a group by its key."""
        with self._open() as db:
            return self._found(db, "g.key = ?", key)

    # --- reading ---

    def _found(self, db: sqlite3.Connection, which: str, value: object) -> Found | None:
        row = db.execute(
            "SELECT g.verdict_file, g.verdict_at, g.summary_file, g.summary_at,"
            f" {_ENTRY} FROM {_JOINED} WHERE {which}",
            (value,),
        ).fetchone()
        if row is None:
            return None
        files = dict(db.execute("SELECT number, path FROM files").fetchall())
        verdict = _read(Path(files[row[0]]), row[1], VerdictRow)
        summary = _read(Path(files[row[2]]), row[3], SummaryRow) if row[2] else None
        images = summary.images if summary else _beside_failed(db, row[5])
        captions: dict[str, CaptionRow] = {}
        for image in images:
            where = db.execute("SELECT file, at FROM captions WHERE image = ?", (image,)).fetchone()
            if where is not None:
                captions[image] = _read(Path(files[where[0]]), where[1], CaptionRow)
        return Found(_entry(row[4:]), verdict, summary, images, captions)

    def _entries(
        self, filters: Filters, place: str, number: int, order: str, count: int
    ) -> list[Entry]:
        where, values = _where(filters)
        with self._open() as db:
            rows = db.execute(
                f"SELECT {_ENTRY} FROM {_JOINED} WHERE {where} AND {place}"
                f" ORDER BY g.number {order} LIMIT ?",
                (*values, number, count),
            ).fetchall()
        return [_entry(row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
            db.execute("ATTACH ? AS decided", (str(self.decisions.path),))
            yield db

    # --- making ---

    def _is_current(self) -> bool:
        if not self.path.exists():
            return False
        with closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            try:
                if db.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
                    return False
                seen = db.execute("SELECT path, size, changed FROM files").fetchall()
            except sqlite3.DatabaseError:  # damaged: it holds nothing that the rows do not
                return False
        return sorted(seen) == sorted(_stamp(path) for path in self._sources.all())

    def _make(self) -> None:
        """Write the index beside the old one, then put it in its place."""
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.executescript(_TABLES)
            db.execute("BEGIN")
            files = {path: number for number, path in enumerate(self._sources.all(), 1)}
            db.executemany(
                "INSERT INTO files VALUES (?, ?, ?, ?)",
                ((number, *_stamp(path)) for path, number in files.items()),
            )
            self._gather(db, files)
            db.execute("COMMIT")
            db.executescript(_NUMBERED)
            db.execute(f"PRAGMA user_version = {LAYOUT}")
        fresh.replace(self.path)

    def _gather(self, db: sqlite3.Connection, files: Mapping[Path, int]) -> None:
        """Read all rows once; where a group or a photo has several, the last one counts."""
        for path, at, summary in _rows(self._sources.stage_a, SummaryRow):
            lines = "\n".join(summary.per_image.values())
            db.execute(
                "INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?)",
                (summary.key, files[path], at, lines),
            )
        for path, at, row in _rows(self._sources.stage_b, VerdictRow):
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
                    need(row),
                ),
            )
        for path in self._sources.stage_a_failures:
            for failure in read_shard(path):
                item = (key_of(failure), str(failure["item"]))
                db.execute("INSERT OR REPLACE INTO failed VALUES (?, ?)", item)
        for path, at, caption in _rows(self._sources.captions, CaptionRow):
            if len(caption.images) == 1:
                db.execute(
                    "INSERT OR REPLACE INTO captions VALUES (?, ?, ?)",
                    (caption.images[0], files[path], at),
                )


def need(row: VerdictRow) -> float:
    """Say how early a group is looked at: 0 undecided, 1 against its label, then the least sure."""
    if row.verdict is None:
        return 0.0
    if row.label and EXPECTED[row.label] != row.verdict:
        return 1.0
    if row.p_pass is None:
        return 2.0
    return 2.0 + (row.p_pass if row.verdict == PASS else 1 - row.p_pass)


class _Sources(NamedTuple):
    stage_a: list[Path]
    stage_a_failures: list[Path]
    stage_b: list[Path]
    captions: list[Path]

    def all(self) -> list[Path]:
        return [*self.stage_a, *self.stage_a_failures, *self.stage_b, *self.captions]


def _sources(run_dir: Path, captions: Sequence[Path]) -> _Sources:
    stage_a, stage_b = (
        [one for path in rows_files(run_dir / name) for one in shards(path)]
        for name in ("stage_a", "stage_b")
    )
    if not stage_b:
        raise RunError(f"{run_dir}: no verdicts in {run_dir / 'stage_b'}; run `shenhe run` first")
    named = captions or caption_files(run_dir)
    found = [one for path in named for one in shards(path)]
    for path in captions:
        if not path.is_file():
            raise RunError(f"--captions {path}: no such file")
    failures = [failures_file(path) for path in rows_files(run_dir / "stage_a")]
    kinds = (stage_a, filter(Path.exists, failures), stage_b, found)
    return _Sources(*([path.absolute() for path in kind] for kind in kinds))


def _beside_failed(db: sqlite3.Connection, key: str) -> list[str]:
    """List the photos of a group whose Stage-A failed; nothing where they have gone."""
    row = db.execute("SELECT item FROM failed WHERE key = ?", (key,)).fetchone()
    if row is None or not is_photo(row[0]):
        return []
    try:
        return [str(photo) for photo in group_photos(locate(row[0]).parent)]
    except IntakeError:
        return []


def _stamp(path: Path) -> tuple[str, int, int]:
    facts = path.stat()
    return str(path), facts.st_size, facts.st_mtime_ns


def _rows(paths: Iterable[Path], kind: type[Any]) -> Iterator[tuple[Path, int, Any]]:
    """Yield the rows of files and the byte at which each begins; a torn last line is passed over.

    Raises: RunError that names the line of another form.
    """
    for path in paths:
        at = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    yield path, at, _parse(path, number, line, kind)
                at += len(line)


def _read(path: Path, at: int, kind: type[Any]) -> Any:
    try:
        with path.open("rb") as file:
            file.seek(at)
            return _parse(path, 0, file.readline(), kind)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(path: Path, number: int, line: bytes, kind: type[Row]) -> Row:
    row = parse_row(path, number, line)
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors()[0]["loc"])
        raise RunError(
            f"{path}: line {number}: not as shenhe writes it: {where}: {error.errors()[0]['msg']}"
        ) from error


def _where(filters: Filters) -> tuple[str, tuple[object, ...]]:
    """Write filters as a condition, and the values in it."""
    parts: list[tuple[str, object]] = []
    if filters.mission:
        parts.append(("g.mission = ?", filters.mission))
    if filters.verdict == "undecided":
        parts.append(("g.verdict IS NULL AND ?", 1))
    elif filters.verdict:
        parts.append(("g.verdict = ?", filters.verdict))
    if filters.against:
        parts.append(("g.against = ?", 1))
    match filters.state:
        case "open":
            parts.append(("c.choice IS NULL AND ?", 1))
        case "decided":
            parts.append(("c.choice IS NOT NULL AND ?", 1))
        case "overruled":
            parts.append(("c.overrules = ?", 1))
        case "deferred":
            parts.append(("c.choice = ?", "待定"))
    if len(filters.text) >= TRIGRAM:
        phrase = '"' + filters.text.replace('"', '""') + '"'
        parts.append(("g.number IN (SELECT rowid FROM texts WHERE texts MATCH ?)", phrase))
    elif filters.text:
        some = "g.number IN (SELECT rowid FROM texts WHERE instr(lower(text), lower(?)))"
        parts.append((some, filters.text))
    conditions = [condition for condition, _ in parts] or ["1"]
    return " AND ".join(conditions), tuple(value for _, value in parts)


def _entry(row: Sequence[Any]) -> Entry:
    return Entry(*row)._replace(overrules=bool(row[-1]))


_ENTRY = (
    "g.number, g.key, g.group_id, g.mission, g.label, g.verdict, g.p_pass, g.reason,"
    " c.choice, c.overrules"
)
_JOINED = "groups g LEFT JOIN decided.current c ON c.key = g.key"
_TABLES = """
CREATE TABLE files (number INTEGER PRIMARY KEY, path TEXT, size INTEGER, changed INTEGER);
CREATE TABLE lines (key TEXT PRIMARY KEY, file INTEGER, at INTEGER, lines TEXT) WITHOUT ROWID;
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
    verdict_file INTEGER, verdict_at INTEGER, summary_file INTEGER, summary_at INTEGER
);
INSERT INTO groups (key, group_id, mission, label, verdict, p_pass, reason, against,
    verdict_file, verdict_at, summary_file, summary_at)
SELECT v.key, v.group_id, v.mission, v.label, v.verdict, v.p_pass, v.reason,
    v.need = 1.0, v.file, v.at, l.file, l.at
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
