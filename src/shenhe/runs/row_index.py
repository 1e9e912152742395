"""Which groups a rows file holds, in SQLite beside it: millions of them take no memory.

The rows are the truth, the index is made of them: whatever it has not seen yet is read on opening,
and where it does not fit the rows it is made anew.
"""

from __future__ import annotations

import re
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from shenhe.errors import RunError
from shenhe.records import Label, group_key
from shenhe.runs.ledger import Json, Place, parse_row
from shenhe.shards import shard, shards

LAYOUT = 2
TAIL = 64
"""So many bytes before the place that was read up to tell whether they are still the same rows."""
PENDING, SCANNED = 1000, 20_000
"""Rows that are written to the index at once: of a run, of a scan."""
_GROUP = re.compile(
    rb'\{"group_id":"([^"\\]*)","mission":"([^"\\]*)","label":(?:"(pass|fail)"|null),'
)
_LABELS: dict[bytes | None, Label | None] = {b"pass": "pass", b"fail": "fail", None: None}
_HASH = b'"inputs_hash":"'
_UNDECIDED = b'"status":"undecided"'
"""A row's own words: within its texts every quote has a backslash before it."""
Entry = tuple[str, bool, str | None]
"""A key, whether what is said of it is settled, and the hash of what that rests on."""


class RowIndex:
    """The keys of one rows file; one process writes it, under the lock of the output."""

    def __init__(
        self, rows_path: Path, key_of: Callable[[Json], str], *, temporary: bool = False
    ) -> None:
        """Open the index of a rows file, and read what it has not seen; or one that is not kept.

        Raises: RunError for a row that is none, or an index that cannot be written.
        """
        self._rows_path, self._key_of = rows_path, key_of
        self._path = None if temporary else index_file(rows_path)
        self._pending: dict[str, tuple[bool, str | None]] = {}
        self._end = Place(1, 0)
        try:
            self._open()
        except sqlite3.DatabaseError:  # damaged: it holds nothing that the rows do not
            self.drop()
            self._open()
        self._count, self.unsettled = self._db.execute(
            "SELECT count(*), coalesce(sum(NOT settled), 0) FROM rows"
        ).fetchone()

    def __len__(self) -> int:
        return int(self._count)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def settled(self, key: str) -> bool:
        """Whether a key has a row, and one that decides."""
        found = self._find(key)
        return found is not None and bool(found[0])

    def inputs_hash(self, key: str) -> str | None:
        """Give the hash of what the row of a key rests on."""
        found = self._find(key)
        return found[1] if found else None

    def keys(self) -> Iterator[str]:
        """Yield all keys, in the order of the index."""
        self._write_pending()
        for (key,) in self._db.execute("SELECT key FROM rows"):
            yield str(key)

    def add(self, key: str, *, settled: bool, inputs_hash: str | None, end: Place) -> None:
        """Take note of a row that was written; the rows end there now."""
        before = self._find(key)
        self._count += before is None
        self.unsettled += (not settled) - (before is not None and not before[0])
        self._pending[key], self._end = (settled, inputs_hash), end
        if len(self._pending) >= PENDING:
            self._write_pending()

    def remove(self, keys: Iterable[str]) -> None:
        """Take note that rows were dropped, and files were written anew."""
        self._db.executemany("DELETE FROM rows WHERE key = ?", ((key,) for key in keys))
        last = shards(self._rows_path)[-1]
        self._end = Place(len(shards(self._rows_path)), last.stat().st_size)
        self._mark()
        self._count, self.unsettled = self._db.execute(
            "SELECT count(*), coalesce(sum(NOT settled), 0) FROM rows"
        ).fetchone()

    def close(self) -> None:
        """Write what is pending, and close."""
        self._write_pending()
        self._db.close()

    def drop(self) -> None:
        """Forget everything."""
        self._db.close()
        if self._path is not None:
            for path in (self._path, self._path.with_name(f"{self._path.name}-journal")):
                path.unlink(missing_ok=True)

    def _open(self) -> None:
        """Open the database, and bring it up to the rows."""
        try:
            self._db = sqlite3.connect(
                self._path or "", isolation_level=None, check_same_thread=False
            )
            # Also where opening it ends in an error, and nobody is there to close it: then it is
            # whichever thread collects the garbage.
            weakref.finalize(self, self._db.close)
            # Killed processes lose nothing by that; a machine that loses power, the index.
            self._db.execute("PRAGMA synchronous = OFF")
            # The output's own lock keeps others away: asking the system each time takes twice as
            # long as looking up.
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            layout = self._db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise RunError(f"{self._path}: cannot be opened: {error}") from error
        if layout != LAYOUT:
            self._db.execute("DROP TABLE IF EXISTS rows")
            self._db.execute("DROP TABLE IF EXISTS seen")
            self._db.execute(
                "CREATE TABLE rows (key TEXT PRIMARY KEY, settled INTEGER, inputs_hash TEXT)"
                " WITHOUT ROWID"
            )
            self._db.execute("CREATE TABLE seen (shard INTEGER, offset INTEGER, tail BLOB)")
            self._db.execute(f"PRAGMA user_version = {LAYOUT}")
        seen = self._db.execute("SELECT shard, offset, tail FROM seen").fetchone()
        if seen is not None:
            self._end = Place(*seen[:2])
            if self._tail() != seen[2]:
                self._db.execute("DELETE FROM rows")
                self._end = Place(1, 0)
        for number, path in enumerate(shards(self._rows_path), 1):
            if number >= self._end.shard:
                self._scan(number, path, self._end.offset if number == self._end.shard else 0)

    def _scan(self, shard_number: int, path: Path, start: int) -> None:
        """Read the rows of a shard that are new."""
        with path.open("rb") as file:
            file.seek(start)
            lines = enumerate(file, 1)
            while some := list(islice(lines, SCANNED)):
                whole = [(n, line) for n, line in some if line.endswith(b"\n")]
                self._db.execute("BEGIN")
                self._put([self._read(path, number, line) for number, line in whole])
                start += sum(len(line) for _, line in whole)
                self._end = Place(shard_number, start)
                self._mark()
                self._db.execute("COMMIT")

    def _read(self, path: Path, number: int, line: bytes) -> Entry:
        """Read of a row what the index holds; nearly always its first bytes are enough."""
        found = _GROUP.match(line)
        if found is None or not line.endswith(b"}\n"):
            row = parse_row(path, number, line)
            meta = row.get("meta")
            rests_on = meta.get("inputs_hash") if isinstance(meta, dict) else None
            return self._key_of(row), row.get("status") != "undecided", rests_on
        key = group_key(found[2].decode(), _LABELS[found[3]], found[1].decode())
        _, _, behind = line.partition(_HASH)
        rests_on = behind.partition(b'"')[0].decode() if behind else None
        return key, _UNDECIDED not in line, rests_on

    def _find(self, key: str) -> tuple[bool, str | None] | None:
        if key in self._pending:
            return self._pending[key]
        found: tuple[bool, str | None] | None = self._db.execute(
            "SELECT settled, inputs_hash FROM rows WHERE key = ?", (key,)
        ).fetchone()
        return found

    def _write_pending(self) -> None:
        if self._pending:
            self._db.execute("BEGIN")
            self._put([(key, *said) for key, said in self._pending.items()])
            self._mark()
            self._db.execute("COMMIT")
            self._pending.clear()

    def _put(self, entries: list[Entry]) -> None:
        try:
            self._db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", entries)
        except sqlite3.OperationalError as error:
            raise RunError(f"{self._path}: cannot be written: {error}") from error

    def _mark(self) -> None:
        """Note how far the rows were read."""
        self._db.execute("DELETE FROM seen")
        self._db.execute("INSERT INTO seen VALUES (?, ?, ?)", (*self._end, self._tail()))

    def _tail(self) -> bytes:
        """Give the last bytes of what was read, fewer where there are no more."""
        path = shard(self._rows_path, self._end.shard)
        if not self._end.offset or not path.exists():
            return b""
        with path.open("rb") as file:
            start = max(0, self._end.offset - TAIL)
            file.seek(start)
            return file.read(self._end.offset - start)


def index_file(rows_path: Path) -> Path:
    """Name the index of a rows file."""
    return rows_path.with_name(f".{rows_path.stem}.index.sqlite")
