"""Rows found by the key of their group, in any order, in some 40 bytes of memory a row."""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from contextlib import ExitStack
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from shenhe.errors import RowError, RunError
from shenhe.row_types import GroupRow
from shenhe.rows.entries import read_key
from shenhe.rows.keys import in_one_spelling
from shenhe.rows.ledger import read_lines
from shenhe.rows.readers import read_line
from shenhe.shards import list_shards

RowT = TypeVar("RowT", bound=GroupRow)


class LocatedRow(NamedTuple, Generic[RowT]):
    """A row and where it stands; None for a line that is no row though it names a group."""

    row: RowT | None
    file: str
    line: int


class RowLookup(Generic[RowT]):
    """Finds the rows of a rows file and of its further shards.

    Rows that are asked for in their own order are found the fastest.
    """

    def __init__(self, rows_path: Path, kind: type[RowT]) -> None:
        """Read where each row begins, and the hash of its key.

        Raises: RunError if a file cannot be read.
        """
        self._kind, self._shards = kind, list_shards(rows_path)
        hashes, offsets = array("q"), array("q")
        self._first_lines, self._sizes = [0], list[int]()
        for path in self._shards:
            offset = 0
            for number, line in read_lines(path):
                hashes.append(_hash(path, number, line))
                offsets.append(offset)
                offset += len(line)
            self._first_lines.append(len(hashes))
            self._sizes.append(offset)
        self._hashes, self._offsets = np.frombuffer(hashes, np.int64), offsets
        self._order = np.argsort(self._hashes, kind="stable")
        self._sorted = self._hashes[self._order]
        self._repeated = set(self._sorted[1:][self._sorted[1:] == self._sorted[:-1]].tolist())
        self._next = 0
        with ExitStack() as opened:
            self._files = [opened.enter_context(path.open("rb")) for path in self._shards]
            self._closing = opened.pop_all()

    @property
    def groups(self) -> int:
        """Number of groups that have a row."""
        return int(np.count_nonzero(np.unique(self._sorted)))

    def close(self) -> None:
        """Close the files."""
        self._closing.close()

    def find(self, key: str) -> list[LocatedRow[RowT]]:
        """Find the rows of a group, whatever the spelling of its mission, in the order of the file.

        Raises: RunError if a file cannot be read.
        """
        spelling = in_one_spelling(key)
        rows = [self._read(position) for position in self._positions(hash(spelling))]
        return [row for row in rows if row.row is None or in_one_spelling(row.row.key) == spelling]

    def _positions(self, value: int) -> list[int]:
        """List the rows whose key has a hash."""
        following, is_only = self._next, value not in self._repeated
        if is_only and following < len(self._hashes) and self._hashes[following] == value:
            self._next = following + 1
            return [following]
        first = int(np.searchsorted(self._sorted, value, "left"))
        last = int(np.searchsorted(self._sorted, value, "right"))
        positions = [int(position) for position in self._order[first:last]]
        self._next = positions[-1] + 1 if positions else self._next
        return positions

    def _read(self, position: int) -> LocatedRow[RowT]:
        shard = bisect_right(self._first_lines, position) - 1
        path, start = self._shards[shard], self._offsets[position]
        is_last = position + 1 == self._first_lines[shard + 1]
        end = self._sizes[shard] if is_last else self._offsets[position + 1]
        number = position - self._first_lines[shard] + 1
        try:
            line = os.pread(self._files[shard].fileno(), end - start, start)
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}") from error
        try:
            return LocatedRow(read_line(path, number, line, self._kind), path.name, number)
        except RowError:
            return LocatedRow(None, path.name, number)


def _hash(path: Path, number: int, line: bytes) -> int:
    """Hash the key of a row; 0 for a line that is none, which `find` passes over."""
    try:
        return hash(in_one_spelling(read_key(path, number, line)))
    except (RunError, ValueError):
        return 0
