"""What people decided of each group, by the group's number, in a table that follows the decisions.

Counts and pages of a queue need the present decision of any number of groups. The table is kept in
memory, on one connection that all threads share in turn, and takes in what was decided since, by
this process or another one, before each use.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from shenhe.errors import RunError
from shenhe.review.index.moments import follow_once
from shenhe.rows.decision_queries import sign_by_author
from shenhe.rows.decision_rows import from_cells
from shenhe.rows.decision_tables import SELECT
from shenhe.rows.decisions import Decisions

MIN_TRIGRAM_LENGTH: Final = 3
"""Length of the shortest text that the trigram index can search. Units: characters."""
KEPT_SEARCHES: Final = 8
"""How many searches keep their matches, so that pages and moves need not search again."""
_TABLES: Final = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE answers (
    number INTEGER PRIMARY KEY, mission TEXT NOT NULL, choice TEXT NOT NULL,
    overrules INTEGER NOT NULL, wrong INTEGER NOT NULL, decision INTEGER NOT NULL,
    reviewer TEXT NOT NULL, at TEXT NOT NULL, drawn INTEGER NOT NULL
);
CREATE UNIQUE INDEX temp.by_decision ON answers (decision);
CREATE INDEX temp.tallied ON answers (mission, overrules);
CREATE TEMP TABLE matches (
    search INTEGER, number INTEGER, PRIMARY KEY (search, number)
) WITHOUT ROWID;
CREATE TEMP TABLE moved (key TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX temp.moved_to ON moved (number);
CREATE TEMP TABLE touched (number INTEGER PRIMARY KEY);
"""
_CHANGED: Final = "(SELECT DISTINCT key FROM decided.decisions WHERE number > ?)"
_FORGET: Final = f"""
DELETE FROM answers WHERE number IN (
    SELECT g.number FROM {_CHANGED} n CROSS JOIN groups g ON g.key = n.key
)
"""
# A decision on photos that have changed since is none: see `decision_tables.STANDS`. Earlier
# versions also set `overrules` for groups that the model had left undecided.
_COLUMNS: Final = (
    "g.number, g.mission, c.choice, c.overrules AND d.verdict IS NOT NULL,"
    " {wrong}, c.number, d.reviewer, d.at, {drawn}"
)
_TAKE_IN: Final = f"""
INSERT INTO answers
SELECT {
    _COLUMNS.format(
        wrong="coalesce(json_extract(d.said, '$.label_wrong'), 0)",
        drawn="d.audit IS NULL AND json_extract(d.said, '$.adjudicates') IS NULL"
        " AND drawn_twice(g.key, c.choice)",
    )
}
FROM {{keys}} n
CROSS JOIN decided.current c ON c.key = n.key
CROSS JOIN decided.decisions d ON d.number = c.number
CROSS JOIN groups g ON g.key = n.key
WHERE c.choice IS NOT NULL AND (d.inputs IS NULL OR d.inputs IS g.inputs)
"""
# `decision_moves` in SQL. A group's own decision, if it is a later one, counts even where it is out
# of date. What was said of the former label is not said of this one, and nobody is asked about the
# group a second time because of it.
_NOTE_MOVED: Final = f"""
INSERT OR IGNORE INTO moved
SELECT n.key, max(g.number) FROM {_CHANGED} n
CROSS JOIN decided.current c ON c.key = n.key
CROSS JOIN decided.decisions d ON d.number = c.number
CROSS JOIN groups g ON g.group_id = d.group_id AND g.mission = d.mission
WHERE NOT EXISTS (SELECT 1 FROM groups o WHERE o.key = n.key)
GROUP BY n.key HAVING count(*) = 1
"""
_TOUCH: Final = f"""
INSERT OR IGNORE INTO touched
SELECT m.number FROM {_CHANGED} n CROSS JOIN moved m ON m.key = n.key UNION ALL
SELECT m.number FROM {_CHANGED} n CROSS JOIN groups g ON g.key = n.key
CROSS JOIN moved m ON m.number = g.number
"""
_TOUCHED: Final = "(SELECT g.key FROM touched t CROSS JOIN groups g ON g.number = t.number)"
_TAKE_IN_MOVED: Final = f"""
INSERT OR REPLACE INTO answers
SELECT {_COLUMNS.format(wrong="0", drawn="0")}
FROM touched t
CROSS JOIN moved m ON m.number = t.number
CROSS JOIN decided.current c ON c.key = m.key
CROSS JOIN decided.decisions d ON d.number = c.number
CROSS JOIN groups g ON g.number = m.number
LEFT JOIN decided.current own ON own.key = g.key AND own.choice IS NOT NULL
WHERE c.choice IS NOT NULL AND d.inputs = g.inputs AND ifnull(own.number < c.number, 1)
ORDER BY c.number
"""
_HOLDING_AGAIN: Final = (
    f"SELECT a.number, d.* FROM answers a JOIN ({SELECT}) d ON d.number = a.decision"
    " WHERE d.number > ? AND d.undoes IS NOT NULL UNION"
    f" SELECT a.number, d.* FROM touched t CROSS JOIN answers a ON a.number = t.number"
    f" CROSS JOIN ({SELECT}) d ON d.number = a.decision WHERE d.undoes IS NOT NULL"
)


class Answers:
    """The index of a run with the present decisions, for one thread at a time.

    Example:
        with answers.reading() as db:
            (count,) = db.execute("SELECT count(*) FROM answers").fetchone()

    """

    def __init__(self, path: Path, decisions: Decisions) -> None:
        """Read the index at a path, and follow decisions."""
        self._path, self._decisions = path, decisions
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._followed = 0
        self._searches: dict[str, int] = {}
        self._drawn: Callable[[str, str], bool] = lambda key, choice: False

    def review_twice(self, drawn: Callable[[str, str], bool]) -> None:
        """Note of each answer whether a second person may be asked about such a group."""
        with self._lock:
            self._close()
            self._drawn = drawn

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection, with its table up to date.

        Raises: RunError if the index or the decisions cannot be read.
        """
        follow_once(self._decisions)
        with self._lock:
            try:
                db = self._opened()
                self._follow(db)
                yield db
            except sqlite3.Error as error:
                self._close()
                raise RunError(
                    f"{self._path}: cannot be read: {error}: start `shenhe review` again"
                ) from error

    @property
    def moment(self) -> tuple[object, ...]:
        """Identify what the connection reads: the file of the index, and the last decision."""
        return (self._file, self._followed)

    @property
    def file(self) -> tuple[int, int] | None:
        """Identity of the index that was read last: its groups are the same as long as it is."""
        return self._file

    @property
    def followed(self) -> int:
        """Number of the last decision that was taken in."""
        return self._followed

    def former_keys(self, number: int) -> list[str]:
        """List the keys that a group had under other labels when people decided it.

        Raises: RunError if the index or the decisions cannot be read.
        """
        with self.reading() as db:
            rows = db.execute("SELECT key FROM moved WHERE number = ?", (number,)).fetchall()
        return [key for (key,) in rows]

    def number_of(self, key: str) -> int | None:
        """Give the number of the group that has a key, or had it under another label.

        Raises: RunError if the index or the decisions cannot be read.
        """
        query = "SELECT number FROM {} WHERE key = ?"
        with self.reading() as db:
            rows = (db.execute(query.format(each), (key,)) for each in ("groups", "moved"))
            cells = next(rows).fetchone() or next(rows).fetchone()
        return int(cells[0]) if cells else None

    def search(self, db: sqlite3.Connection, text: str) -> int:
        """Find the groups whose texts hold a text, into `matches`; give the search's number there.

        Raises: sqlite3.Error.
        """
        if text in self._searches:
            self._searches[text] = self._searches.pop(text)  # the last one used
            return self._searches[text]
        search = max(self._searches.values(), default=0) + 1
        if len(self._searches) >= KEPT_SEARCHES:
            oldest = self._searches.pop(next(iter(self._searches)))
            db.execute("DELETE FROM matches WHERE search = ?", (oldest,))
        if len(text) >= MIN_TRIGRAM_LENGTH:
            condition, value = "texts MATCH ?", '"' + text.replace('"', '""') + '"'
        else:
            condition, value = "instr(lower(text), lower(?))", text
        query = f"INSERT INTO matches SELECT {search}, rowid FROM texts WHERE {condition}"
        db.execute(query, (value,))
        self._searches[text] = search
        return search

    def _opened(self) -> sqlite3.Connection:
        """Open the index, and again where another process has built it anew.

        Raises: sqlite3.Error.
        """
        try:
            status = self._path.stat()
        except OSError as error:
            raise sqlite3.OperationalError(error.strerror) from error
        if self._db is None or self._file != (status.st_ino, status.st_mtime_ns):
            self._close()
            self._db = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            self._db.execute("ATTACH ? AS decided", (str(self._decisions.path),))
            self._db.create_function("drawn_twice", 2, self._drawn)
            self._db.executescript(_TABLES)
            self._file = (status.st_ino, status.st_mtime_ns)
        return self._db

    @staticmethod
    def _sign(db: sqlite3.Connection, after: int) -> None:
        """Sign what holds again after an undo by whoever decided it, as sheets and exports do.

        Raises: sqlite3.Error.
        """
        for row in db.execute(_HOLDING_AGAIN, (after,)).fetchall():
            number, *cells = row
            with suppress(ValueError):  # a cell that no shenhe wrote is told where it is read
                author = sign_by_author(db, from_cells(tuple(cells)))
                values = (author.reviewer, author.at, number)
                db.execute("UPDATE answers SET reviewer = ?, at = ? WHERE number = ?", values)

    def _follow(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN")
        (last,) = db.execute("SELECT ifnull(max(number), 0) FROM decided.decisions").fetchone()
        if last < self._followed:  # a copy was put back
            db.execute("DELETE FROM answers")
            db.execute("DELETE FROM moved")
            self._followed = 0
        if last > self._followed:
            db.execute(_FORGET, (self._followed,))
            db.execute(_TAKE_IN.format(keys=_CHANGED), (self._followed,))
            self._follow_moved(db, self._followed)
            self._sign(db, self._followed)
        db.execute("COMMIT")
        self._followed = last

    @staticmethod
    def _follow_moved(db: sqlite3.Connection, after: int) -> None:
        """Take in what was decided on groups before they moved to another label.

        Raises: sqlite3.Error.
        """
        db.execute("DELETE FROM touched")
        db.execute(_NOTE_MOVED, (after,))
        if db.execute("SELECT 1 FROM moved LIMIT 1").fetchone():
            db.execute(_TOUCH, (after, after))
            db.execute("DELETE FROM answers WHERE number IN (SELECT number FROM touched)")
            db.execute(_TAKE_IN.format(keys=_TOUCHED))
            db.execute(_TAKE_IN_MOVED)

    def _close(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
        self._db, self._followed, self._searches = None, 0, {}
