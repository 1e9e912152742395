"""Which groups a rows file holds, in SQLite beside it: millions of them take no memory.

The rows are the truth, the index is made of them: whatever it has not seen yet is read on opening,
and where anything about it is wrong it is made anew. Where it cannot be kept, a run does without.
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
from shenhe.rows.index_tables import DAMAGED, Counted, counted
from shenhe.rows.ledger import Json, Place, count_lines, set_aside
from shenhe.rows.torn import is_row
from shenhe.shards import list_shards, shard_path

TAIL = 64
"""So many bytes before the place that was read up to tell whether they are still the same rows."""
PENDING, SCANNED = 1000, 20_000
"""Rows that are written to the index at once: of a run, of a scan."""
Result = TypeVar("Result")


class RowIndex:
    """The keys of one rows file; one process writes it, under the lock of the output."""

    def __init__(
        self, rows_path: Path, key_of: Callable[[Json], str], *, temporary: bool = False
    ) -> None:
        """Open the index of a rows file, and read what it has not seen; or one that is not kept.

        Raises: RunError for a row that is none, or where not even a temporary index can be made.
        """
        self._rows_path, self._key_of = rows_path, key_of
        self._path = None if temporary else index_file(rows_path)
        self._pending: dict[str, tuple[bool, str | None]] = {}
        self._end, self._counted = Place(1, 0), Counted(0, 0)
        self._db: sqlite3.Connection
        try:
            self._open(self._path)
        except DAMAGED:
            self._make_anew()

    def __len__(self) -> int:
        return self._counted.keys

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    @property
    def unsettled(self) -> int:
        """How many keys have a row that decides nothing."""
        return self._counted.unsettled

    def settled(self, key: str) -> bool:
        """Whether a key has a row, and one that decides."""
        found = self._find(key)
        return found is not None and bool(found[0])

    def inputs_hash(self, key: str) -> str | None:
        """Give the hash of what the row of a key rests on."""
        found = self._find(key)
        return found[1] if found else None

    def keys(self, *, unsettled: bool = False) -> Iterator[str]:
        """Yield all keys, or those that are not settled, in the order of the index."""
        query = index_tables.UNSETTLED_PAGE if unsettled else index_tables.PAGE

        def after(key: str) -> list[tuple[str]]:
            return self._db.execute(query, (key, PENDING)).fetchall()

        self._healed(self._write_pending)
        last = ""
        while page := self._healed(partial(after, last)):
            yield from (key for (key,) in page)
            last = page[-1][0]

    def add(self, key: str, *, settled: bool, inputs_hash: str | None, end: Place) -> None:
        """Take note of a row that was written; the rows end there now."""
        before = self._find(key)
        keys, unsettled = self._counted
        unsettled += (not settled) - (before is not None and not before[0])
        self._counted = Counted(keys + (before is None), unsettled)
        self._pending[key], self._end = (settled, inputs_hash), end
        if len(self._pending) >= PENDING:
            self._healed(self._write_pending)

    def renew(self, key: str, inputs_hash: str) -> None:
        """Take note that what a row rests on is still the same, though it looks otherwise."""
        self._pending[key] = (self.settled(key), inputs_hash)
        if len(self._pending) >= PENDING:
            self._healed(self._write_pending)

    def remove(self, keys: Iterable[str]) -> None:
        """Take note that rows were dropped, and files were written anew."""
        gone = [(key,) for key in keys]

        def forget() -> None:
            self._write_pending()
            last = list_shards(self._rows_path)[-1]
            self._end = Place(len(list_shards(self._rows_path)), last.stat().st_size)
            self._db.execute("BEGIN")
            self._db.executemany("DELETE FROM rows WHERE key = ?", gone)
            self._counted = counted(self._db)
            self._mark()
            self._db.execute("COMMIT")

        self._healed(forget)

    def close(self) -> None:
        """Write what is pending, and close."""
        self._healed(self._write_pending)
        self._db.close()

    # --- opening ---

    def _make_anew(self) -> None:
        """Make the index of the rows alone: in its place or, if it can't be kept there, nowhere."""
        if self._path is not None:
            drop_index(self._rows_path)
        problem: Exception | None = None
        for path in (self._path, None):
            self._pending.clear()
            self._end, self._counted = Place(1, 0), Counted(0, 0)
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

        Raises: what DAMAGED lists where it is not of these rows; RunError for a row that is none.
        """
        self._db = index_tables.opened(path)
        with ExitStack() as closing:
            closing.callback(self._db.close)
            self._compare()
            self._catch_up()
            closing.pop_all()

    def _compare(self) -> None:
        """See how far the database has read the rows, and whether it is of these rows."""
        (shard_number, offset, tail, *noted) = self._db.execute(index_tables.SEEN).fetchone()
        self._end, self._counted = Place(shard_number, offset), counted(self._db)
        if offset < 0 or shard_number < 1 or self._counted != tuple(noted):
            raise ValueError("it does not hold what it says")
        # A shard that was begun, had no row yet, and is gone leaves nothing to compare with.
        if self._tail() != tail or shard_number > max(1, len(list_shards(self._rows_path))):
            raise ValueError("of other rows")

    def _catch_up(self) -> None:
        """Read the rows that are new, in one piece: whoever is killed meanwhile begins again."""
        before = self._end
        self._db.execute("BEGIN")
        for number, path in enumerate(list_shards(self._rows_path), 1):
            if number >= before.shard:
                self._scan(number, path, before.offset if number == before.shard else 0)
        if self._end != before:
            self._counted = counted(self._db)
            self._mark()
        self._db.execute("COMMIT")

    def _scan(self, shard_number: int, path: Path, start: int) -> None:
        """Read the rows of a shard that are new."""
        skipped = start
        try:
            with path.open("rb") as file:
                file.seek(start)
                lines = enumerate(file, 1)
                while some := list(islice(lines, SCANNED)):
                    whole = [(n, line) for n, line in some if self._is_whole(line)]
                    self._put([self._read(path, number, line) for number, line in whole])
                    start += sum(len(line) for _, line in whole)
                    self._end = Place(shard_number, start)
        except DamagedRowError as error:
            number = error.number + count_lines(path, skipped)
            raise DamagedRowError(path, number, error.problem, zeroed=error.zeroed) from error
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from error

    def _is_whole(self, line: bytes) -> bool:
        """Whether a line is no torn one; what is kept only goes on behind a line's end."""
        return line.endswith(b"\n") or (self._path is None and is_row(line))

    def _read(self, path: Path, number: int, line: bytes) -> IndexEntry:
        return read_entry(path, number, line, self._key_of)

    # --- reading and writing ---

    def _healed(self, work: Callable[[], Result]) -> Result:
        """Do something with the database, and once more with one made anew where it fails.

        What was pending is in the rows by then, from which it is read again.
        """
        try:
            return work()
        except DAMAGED:
            self._db.close()
            self._make_anew()
            return work()

    def _find(self, key: str) -> tuple[bool, str | None] | None:
        if key in self._pending:
            return self._pending[key]
        try:
            key.encode()
        except UnicodeEncodeError:  # a name that no row can hold
            return None
        found: tuple[bool, str | None] | None = self._healed(
            lambda: self._db.execute(index_tables.FIND, (key,)).fetchone()
        )
        return found

    def _write_pending(self) -> None:
        if self._pending:
            self._db.execute("BEGIN")
            self._put([(key, *said) for key, said in self._pending.items()])
            self._mark()
            self._db.execute("COMMIT")
            self._pending.clear()

    def _put(self, entries: list[IndexEntry]) -> None:
        self._db.executemany(index_tables.PUT, entries)

    def _mark(self) -> None:
        """Note how far the rows were read, which are on disk by then: the index never knows more.

        Else a power cut could leave a group that the index knows, and no file.
        """
        path = shard_path(self._rows_path, self._end.shard)
        if self._path is not None and path.exists():
            try:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise write_error(path, error) from error
        self._db.execute("DELETE FROM seen")
        told = (*self._end, self._tail(), *self._counted)
        self._db.execute(index_tables.SEE, told)

    def _tail(self) -> bytes:
        """Give the last TAIL bytes of what was read, fewer where there are no more."""
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
    """Forget the index of a rows file; what stands in its place and is none is moved away.

    What cannot be moved stays: then no index can be opened there, and a run does without.
    """
    path = index_file(rows_path)
    with suppress(OSError, RunError):
        if path.is_dir() and not path.is_symlink():
            set_aside(path)
        for end in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
