"""Where each group of a run stands in its files, what it says, and how much it needs a look.

In SQLite beside the decisions; made of the rows, and made anew whenever they have changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from shenhe.errors import IntakeError, RunError
from shenhe.intake import list_photos
from shenhe.locations import locate, location_text
from shenhe.photos import is_photo
from shenhe.review.indexing import is_current, make, sources_of
from shenhe.row_types import CaptionRow, SummaryRow, VerdictRow
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decision_tables import STANDS
from shenhe.rows.decisions import Decisions
from shenhe.rows.readers import read_at
from shenhe.values import Label, Ruling

TRIGRAM = 3
"""The shortest words that the full-text index finds by itself."""
States = ("open", "decided", "overruled", "deferred")
VERDICTS = ("通过", "不通过", "undecided")


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


class QueueEntry(NamedTuple):
    """A line of the queue: what a group is, what the model and people said of it.

    `inputs` is the fingerprint of its photos, without their times. `choice` is None where nobody
    has decided, or on other photos alone.
    """

    number: int
    key: str
    group_id: str
    mission: str
    label: Label | None
    verdict: Ruling | None
    p_pass: float | None
    reason: str
    inputs: str | None
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

    entry: QueueEntry
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
        sources = sources_of(run_dir, captions)
        self.decisions = Decisions(run_dir)
        self.path = self.decisions.path.with_name("index.sqlite")
        try:
            if not is_current(self.path, sources):
                make(self.path, sources)
        except sqlite3.Error as error:
            raise RunError(f"{self.path}: cannot be written: {error}") from error

    def missions(self) -> list[str]:
        """List the missions of the run."""
        with self._open() as db:
            found = db.execute("SELECT name FROM missions ORDER BY rowid").fetchall()
        return [name for (name,) in found]

    def page(self, filters: Filters, after: int = 0, count: int = 50) -> list[QueueEntry]:
        """List groups in the order of the queue, those after a number."""
        return self._entries(filters, "g.number > ?", after, "ASC", count)

    def following(
        self, filters: Filters, number: int, *, open_only: bool = False
    ) -> QueueEntry | None:
        """Find the next group of the queue, or the next that nobody has decided yet."""
        if open_only and not filters.state:
            filters = replace(filters, state="open")
        return next(iter(self._entries(filters, "g.number > ?", number, "ASC", 1)), None)

    def preceding(self, filters: Filters, number: int) -> QueueEntry | None:
        """Find the group before one in the queue."""
        return next(iter(self._entries(filters, "g.number < ?", number, "DESC", 1)), None)

    def progress(self, filters: Filters) -> Progress:
        """Count the groups that the filters let through, whatever was decided of them."""
        where, values = _where(replace(filters, state=""))
        with self._open() as db:
            (groups,) = db.execute(
                f"SELECT count(*) FROM groups g WHERE {where}", values
            ).fetchone()
            # From the decisions on: few of many groups have one.
            decided = db.execute(
                f"SELECT count(c.choice), coalesce(sum({_OVERRULES}), 0)"
                f" FROM {_DECIDED} WHERE {where}",
                values,
            ).fetchone()
        return Progress(groups, *decided)

    def matching(self, filters: Filters, whole: Progress | None = None) -> int:
        """Count the groups that the filters let through; `whole` is their `progress`, if known."""
        where, values = _where(filters)
        if filters.state in ("", "open"):
            whole = whole or self.progress(filters)
            return whole.groups - (whole.decided if filters.state else 0)
        with self._open() as db:
            query = f"SELECT count(*) FROM {_DECIDED} WHERE {where}"
            return int(db.execute(query, values).fetchone()[0])

    def decided(self) -> Iterator[Decision]:
        """Yield what is said of each group now, in the order in which it was said."""
        with self._open() as db:
            inputs = dict(db.execute("SELECT key, inputs FROM groups").fetchall())
        return self.decisions.all_current(inputs)

    def outdated(self) -> int:
        """Count the decisions that were made on other photos than their groups have now."""
        where = f"c.choice IS NOT NULL AND NOT {STANDS}"
        with self._open() as db:
            query = (
                f"SELECT count(*) FROM decided.current c JOIN groups g USING (key) WHERE {where}"
            )
            return int(db.execute(query).fetchone()[0])

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
        verdict = read_at(Path(files[row[0]]), row[1], VerdictRow)
        summary = read_at(Path(files[row[2]]), row[3], SummaryRow) if row[2] else None
        if verdict.key != row[5] or (summary is not None and summary.key != row[5]):
            raise RunError("the rows have changed since: start `shenhe review` again")
        images = summary.images if summary else _beside_failed(db, row[5])
        captions: dict[str, CaptionRow] = {}
        for image in images:
            where = db.execute("SELECT file, at FROM captions WHERE image = ?", (image,)).fetchone()
            if where is not None:
                captions[image] = read_at(Path(files[where[0]]), where[1], CaptionRow)
        return Found(_entry(row[4:]), verdict, summary, images, captions)

    def _entries(
        self, filters: Filters, place: str, number: int, order: str, count: int
    ) -> list[QueueEntry]:
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
        try:
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
                db.execute("ATTACH ? AS decided", (str(self.decisions.path),))
                yield db
        except sqlite3.Error as error:
            raise RunError(
                f"{self.path}: cannot be read: {error}: start `shenhe review` again"
            ) from error


def _beside_failed(db: sqlite3.Connection, key: str) -> list[str]:
    """List the photos of a group whose Stage-A failed; nothing where they have gone."""
    row = db.execute("SELECT item FROM failed WHERE key = ?", (key,)).fetchone()
    if row is None or not is_photo(row[0]):
        return []
    try:
        return [location_text(photo) for photo in list_photos(locate(row[0]).parent)]
    except IntakeError:
        return []


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
            parts.append((f"{_OVERRULES} = ?", 1))
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


def _entry(row: Sequence[Any]) -> QueueEntry:
    return QueueEntry(*row)._replace(overrules=bool(row[-1]))


_OVERRULES = (
    "(c.overrules AND (SELECT d.verdict FROM decided.decisions d WHERE d.number = c.number)"
    " IS NOT NULL)"
)
"""Earlier versions also kept as overruled what the model had left undecided."""
_ENTRY = (
    "g.number, g.key, g.group_id, g.mission, g.label, g.verdict, g.p_pass, g.reason, g.inputs,"
    f" c.choice, {_OVERRULES}"
)
_JOINED = f"groups g LEFT JOIN decided.current c ON c.key = g.key AND {STANDS}"
_DECIDED = f"decided.current c CROSS JOIN groups g ON g.key = c.key AND {STANDS}"
