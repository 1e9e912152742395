"""JSONL that survives anything: append and flush a row at a time, drop a torn end, refuse a
second writer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from filelock import FileLock, Timeout
from pydantic_core import from_json

from shenhe.errors import OutputBusyError, RunError
from shenhe.records import Row
from shenhe.shards import shard, shards

Json = dict[str, Any]


class OutputLock:
    """Holds an output for one process; the system lets go of it when the process dies."""

    def __init__(self, path: Path) -> None:
        """Name the output by its rows file."""
        self._path = path
        self._lock = FileLock(path.with_name(f".{path.stem}.lock"))

    def __enter__(self) -> Self:
        """Take the lock.

        Raises: OutputBusyError when another process has it; RunError when it cannot be made.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputBusyError(
                f"{self._path}: another shenhe writes to it; wait for it, or use another folder"
            ) from error
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


class Place(NamedTuple):
    """A place in rows: the number of the shard, from 1, and the bytes before it there."""

    shard: int
    offset: int


class Ledger:
    """Rows, open for appending; past a size the next shard is begun."""

    def __init__(self, path: Path, shard_bytes: int | None = None) -> None:
        """Open a file, or the last of its shards, dropping a torn last line.

        Raises: RunError if it cannot be written.
        """
        self.path, self._shard_bytes = path, shard_bytes
        drop_torn_end(path)
        self._number = max(1, len(shards(path)))
        self._file = self._opened()

    def append(self, *rows: Row) -> None:
        """Write rows and hand them to the system, so that killing this process cannot lose them.

        Raises: RunError, for instance on a full disk; what was written before stays valid.
        """
        text = "".join(row.to_json() + "\n" for row in rows)
        try:
            self._file.write(text.encode())
            self._file.flush()
        except OSError as error:
            raise RunError(
                f"{self.path}: cannot be written: {error.strerror}; free space, then run the same"
                " command again"
            ) from error
        if self._shard_bytes is not None and self._file.tell() >= self._shard_bytes:
            self.close()
            self._number += 1
            self._file = self._opened()

    @property
    def end(self) -> Place:
        """Where the rows end."""
        return Place(self._number, self._file.tell())

    def close(self) -> None:
        """Close the file; a row that the disk refused was reported by `append` already."""
        try:
            self._file.close()
        except OSError:
            return

    def _opened(self) -> IO[bytes]:
        path = shard(self.path, self._number)
        try:
            return path.open("ab")
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def read_rows(path: Path) -> Iterator[Json]:
    """Yield the rows of a file and of its further shards; a torn last line is passed over.

    Raises: RunError that names the line that is no JSON object.
    """
    for one in shards(path):
        yield from read_shard(one)


def read_shard(path: Path) -> Iterator[Json]:
    """Yield the rows of one file, one at a time; see `read_rows`."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            yield parse_row(path, number, line)


def parse_row(path: Path, number: int, line: bytes) -> Json:
    """Read one line of a file.

    Raises: RunError that names the line, where it is no JSON object.
    """
    try:
        row = from_json(line)
    except ValueError as error:
        raise RunError(f"{path}: line {number} is not JSON; mend or remove it") from error
    if not isinstance(row, dict):
        raise RunError(f"{path}: line {number} is not a JSON object; mend or remove it")
    return row


def rewrite(path: Path, keep: Callable[[Json], bool]) -> None:
    """Drop the rows that `keep` refuses: beside each file first, then in one step."""
    for one in shards(path):
        if not all(keep(row) for row in read_shard(one)):
            _rewrite(one, keep)


def _rewrite(path: Path, keep: Callable[[Json], bool]) -> None:
    fresh = path.with_suffix(".rewriting")
    with fresh.open("w", encoding="utf-8") as file:
        for row in read_shard(path):
            if keep(row):
                file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def drop_torn_end(rows_path: Path) -> None:
    """Cut the last file after its last whole line: a line without its end, or a last one that is no
    JSON, was being written when the process died."""
    path = next(reversed(shards(rows_path)), None)
    if path is None:
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        cut = _after_last_newline(file, size)
        if cut and cut == size:
            start = _after_last_newline(file, size - 1)
            file.seek(start)
            try:
                json.loads(file.read(size - start))
            except ValueError:
                cut = start
        if cut != size:
            file.truncate(cut)


def _after_last_newline(file: IO[bytes], end: int, block: int = 65_536) -> int:
    """Find where the line that ends at `end` begins."""
    while end:
        start = max(0, end - block)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def set_aside(*paths: Path) -> None:
    """Move earlier files away under a dated name: `--restart` loses nothing."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    for path in paths:
        if path.exists():
            path.replace(path.with_name(f"{path.name}.before-{stamp}"))
