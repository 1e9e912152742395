"""The groups of a rows file, in SQLite beside it: millions of them take no memory.

The rows are the truth, the index is derived: rows that it has not seen are read on opening, and a
damaged index is rebuilt. If it cannot be stored, a run works with a temporary one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from shenhe.errors import DamagedRowError, RunError
from shenhe.files import write_error
from shenhe.rows import index_tables
from shenhe.rows.entries import IndexEntry, read_entry
from shenhe.rows.index_tables import DAMAGED, KeyCounts, count_keys
from shenhe.rows.ledger import Json, Position, count_lines, set_aside
from shenhe.rows.torn import is_row
from shenhe.shards import list_shards, shard_path

TAIL = 64
"""Bytes before the position read up to; they tell whether these are still the same rows."""
PENDING, SCANNED = 1000, 20_000
"""Rows per write to the index: in a run, in a scan."""
Result = TypeVar("Result")


class RowIndex:
    """The keys of one rows file; one process writes it, under the lock of the output."""

    def __init__(
        self,
        rows_path: Path,
        key_of: Callable[[Json], str],
        *,
        temporary: bool = False,
        skip_bad: bool = False,
    ) -> None:
        """Open the index of a rows file, or a temporary one, and read the rows that are new to it.

        Lines that are no rows are errors, or with `skip_bad` passed over: their reader tells them.
        Raises: RunError for a line that is no row, or if not even a temporary index can be made.
        """
        self._skip_bad = skip_bad
        self._rows_path, self._key_of = rows_path, key_of
        self._path = None if temporary else index_file(rows_path)
        self._pending: dict[str, tuple[bool, str | None]] = {}
        self._end, self._key_counts = Position(1, 0), KeyCounts(0, 0)
        self._db: sqlite3.Connection
        try:
            self._open(self._path)
        except DAMAGED:
            self._rebuild()

    def __len__(self) -> int:
        return self._key_counts.keys

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    @property
    def unsettled(self) -> int:
        """Number of keys whose row decides nothing."""
        return self._key_counts.unsettled

    def settled(self, key: str) -> bool:
        """Whether a key has a row that decides."""
        entry = self._find(key)
        return entry is not None and bool(entry[0])

    def inputs_hash(self, key: str) -> str | None:
        """Give the hash of what the row of a key rests on."""
        entry = self._find(key)
        return entry[1] if entry else None

    def keys(self, *, unsettled: bool = False) -> Iterator[str]:
        """Yield all keys, or the unsettled ones alone, in the order of the index."""
        query = index_tables.UNSETTLED_PAGE if unsettled else index_tables.PAGE

        def after(key: str) -> list[tuple[str]]:
            return self._db.execute(query, (key, PENDING)).fetchall()

        self._with_repair(self._write_pending)
        last = ""
        while page := self._with_repair(partial(after, last)):
            yield from (key for (key,) in page)
            last = page[-1][0]

    def add(self, key: str, *, settled: bool, inputs_hash: str | None, end: Position) -> None:
        """Add a row that was written, with the position after it."""
        before = self._find(key)
        keys, unsettled = self._key_counts
        unsettled += (not settled) - (before is not None and not before[0])
        self._key_counts = KeyCounts(keys + (before is None), unsettled)
        self._pending[key], self._end = (settled, inputs_hash), end
        if len(self._pending) >= PENDING:
            self._with_repair(self._write_pending)

    def renew(self, key: str, inputs_hash: str) -> None:
        """Replace the hash of what a row rests on, which has not changed otherwise."""
        self._pending[key] = (self.settled(key), inputs_hash)
        if len(self._pending) >= PENDING:
            self._with_repair(self._write_pending)

    def remove(self, keys: Iterable[str]) -> None:
        """Remove rows that were dropped while files were rewritten."""
        dropped = [(key,) for key in keys]

        def delete() -> None:
            self._write_pending()
            last = list_shards(self._rows_path)[-1]
            self._end = Position(len(list_shards(self._rows_path)), last.stat().st_size)
            self._db.execute("BEGIN")
            self._db.executemany(index_tables.DELETE, dropped)
            self._key_counts = count_keys(self._db)
            self._mark()
            self._db.execute("COMMIT")

        self._with_repair(delete)

    def close(self) -> None:
        """Write the pending entries, and close."""
        self._with_repair(self._write_pending)
        self._db.close()

    # --- opening ---

    def _rebuild(self) -> None:
        """Build the index from the rows alone, in its file or else in a temporary one."""
        if self._path is not None:
            drop_index(self._rows_path)
        problem: Exception | None = None
        for path in (self._path, None):
            self._pending.clear()
            self._end, self._key_counts = Position(1, 0), KeyCounts(0, 0)
            try:
                self._open(path)
            except DAMAGED as error:
                problem = error
            else:
                self._path = path
                return
        raise RunError(f"{self._rows_path}: cannot be indexed: {problem}; is there room in TMPDIR?")

    def _open(self, path: Path | None) -> None:
        """Open the database, and bring it up to the rows.

        Raises: what DAMAGED lists, if it is not of these rows; RunError for a line that is no row.
        """
        self._db = index_tables.open_index(path)
        with ExitStack() as closing:
            closing.callback(self._db.close)
            self._compare()
            self._catch_up()
            closing.pop_all()

    def _compare(self) -> None:
        """Read how far the database has read the rows, and check that it is of these rows."""
        (shard_number, offset, tail, *stored) = self._db.execute(
            index_tables.SELECT_STATE
        ).fetchone()
        self._end, self._key_counts = Position(shard_number, offset), count_keys(self._db)
        if offset < 0 or shard_number < 1 or self._key_counts != tuple(stored):
            raise ValueError("it does not hold what it says")
        # A shard that was begun without a row, and is gone, leaves no tail to compare with.
        if self._tail() != tail or shard_number > max(1, len(list_shards(self._rows_path))):
            raise ValueError("of other rows")

    def _catch_up(self) -> None:
        """Read the new rows in one transaction: a process that is killed meanwhile starts over."""
        before = self._end
        self._db.execute("BEGIN")
        for number, path in enumerate(list_shards(self._rows_path), 1):
            if number >= before.shard:
                self._scan(number, path, before.offset if number == before.shard else 0)
        if self._end != before:
            self._key_counts = count_keys(self._db)
            self._mark()
        self._db.execute("COMMIT")

    def _scan(self, shard_number: int, path: Path, start: int) -> None:
        """Read the new rows of a shard."""
        skipped = start
        try:
            with path.open("rb") as file:
                file.seek(start)
                lines = enumerate(file, 1)
                while batch := list(islice(lines, SCANNED)):
                    whole = [(n, line) for n, line in batch if self._is_whole(line)]
                    entries = (self._read(path, number, line) for number, line in whole)
                    self._put([entry for entry in entries if entry is not None])
                    start += sum(len(line) for _, line in whole)
                    self._end = Position(shard_number, start)
        except DamagedRowError as error:
            number = error.number + count_lines(path, skipped)
            raise DamagedRowError(path, number, error.problem, zeroed=error.zeroed) from error
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from error

    def _is_whole(self, line: bytes) -> bool:
        """Whether a line is not torn; a stored index only goes on after a line end."""
        return line.endswith(b"\n") or (self._path is None and is_row(line))

    def _read(self, path: Path, number: int, line: bytes) -> IndexEntry | None:
        try:
            return read_entry(path, number, line, self._key_of)
        except DamagedRowError:
            if self._skip_bad:
                return None
            raise

    # --- reading and writing ---

    def _with_repair(self, work: Callable[[], Result]) -> Result:
        """Work with the database, and if that fails, once more with a rebuilt one.

        Pending entries are in the rows by then, and are read again.
        """
        try:
            return work()
        except DAMAGED:
            self._db.close()
            self._rebuild()
            return work()

    def _find(self, key: str) -> tuple[bool, str | None] | None:
        if key in self._pending:
            return self._pending[key]
        try:
            key.encode()
        except UnicodeEncodeError:  # a name that no row can hold
            return None
        entry: tuple[bool, str | None] | None = self._with_repair(
            lambda: self._db.execute(index_tables.FIND, (key,)).fetchone()
        )
        return entry

    def _write_pending(self) -> None:
        if self._pending:
            self._db.execute("BEGIN")
            self._put([(key, *entry) for key, entry in self._pending.items()])
            self._mark()
            self._db.execute("COMMIT")
            self._pending.clear()

    def _put(self, entries: list[IndexEntry]) -> None:
        self._db.executemany(index_tables.PUT, entries)

    def _mark(self) -> None:
        """Store how far the rows were read, once these are on disk: the index never has more.

        Otherwise a power cut could leave a group that the index has, and no file.
        """
        path = shard_path(self._rows_path, self._end.shard)
        if self._path is not None and path.exists():
            try:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise write_error(path, error) from error
        self._db.execute(index_tables.DELETE_STATE)
        state = (*self._end, self._tail(), *self._key_counts)
        self._db.execute(index_tables.INSERT_STATE, state)

    def _tail(self) -> bytes:
        """Give the last TAIL bytes that were read, or as many as there are."""
        path = shard_path(self._rows_path, self._end.shard)
        if not self._end.offset or not path.exists() or path.stat().st_size < self._end.offset:
            return b""
        with path.open("rb") as file:
            start = max(0, self._end.offset - TAIL)
            file.seek(start)
            return file.read(self._end.offset - start)


def index_file(rows_path: Path) -> Path:
    """Name the index of a rows file."""
    return rows_path.with_name(f".{rows_path.stem}.index.sqlite")


def drop_index(rows_path: Path) -> None:
    """Delete the index of a rows file; a folder in its place is moved away.

    If that fails, no index can be opened there, and a run works with a temporary one.
    """
    path = index_file(rows_path)
    with suppress(OSError, RunError):
        if path.is_dir() and not path.is_symlink():
            set_aside(path)
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
