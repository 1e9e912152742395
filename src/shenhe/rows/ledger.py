"""JSONL that survives a crash: rows are appended and flushed one at a time, a torn end is dropped,
a second writer is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import IO, NamedTuple, Self

from filelock import FileLock, Timeout
from pydantic_core import from_json

from shenhe.errors import DamagedRowError, OutputBusyError, RunError
from shenhe.files import put_in_place, sync_folder, write_error
from shenhe.row_types import Row
from shenhe.rows.torn import drop_torn_end, find_whole_end, is_row
from shenhe.shards import list_shards, shard_path

Json = dict[str, object]
SYNC_SECONDS = 1.0
"""Interval at which rows are written to disk, for a power cut: a kill loses none anyway."""
BLOCK = 1 << 20
BOM = b"\xef\xbb\xbf"


class OutputLock:
    """Lock of an output for one process; the system releases it when the process dies."""

    def __init__(self, path: Path) -> None:
        """Name the output by its rows file."""
        self._path = path
        self._lock = FileLock(path.with_name(f".{path.stem}.lock"))

    def __enter__(self) -> Self:
        """Take the lock.

        Raises: OutputBusyError if another process has it; RunError if it cannot be made.
        """
        try:
            _make_folder(self._path.parent)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputBusyError(
                f"{self._path}: another shenhe writes to it; wait for it, or use another folder"
            ) from error
        except OSError as error:
            raise write_error(self._path, error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, on disk too: a power cut must not lose what is in it."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for created in missing:
        sync_folder(created.parent)


class Position(NamedTuple):
    """A position in rows: the number of the shard, from 1, and the byte offset in it."""

    shard: int
    offset: int


class Ledger:
    """Rows, open for appending; after `shard_bytes` the next shard is begun."""

    def __init__(self, path: Path, shard_bytes: int | None = None) -> None:
        """Open a file, or the last of its shards, dropping a torn last line.

        Raises: RunError if it cannot be written.
        """
        self.path, self._shard_bytes = path, shard_bytes
        drop_torn_end(path)
        self._number = max(1, len(list_shards(path)))
        self._synced = time.monotonic()
        self._file = self._open_shard()

    def append(self, *rows: Row) -> None:
        """Write rows and flush them to the system, so that a kill of this process loses none.

        Once a second they are written to disk, so that a power cut loses the last ones at most.
        Raises: RunError, for instance on a full disk; earlier rows stay valid.
        """
        text = "".join(row.to_json() + "\n" for row in rows)
        try:
            self._file.write(text.encode())
            self._file.flush()
        except OSError as error:
            raise write_error(self.path, error) from error
        if self._shard_bytes is not None and self._file.tell() >= self._shard_bytes:
            self.sync()
            self.close()
            self._number += 1
            self._file = self._open_shard()
        elif time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Write the appended rows to disk.

        Raises: RunError if the disk refuses it.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error
        self._synced = time.monotonic()

    @property
    def end(self) -> Position:
        """Position after the last row."""
        return Position(self._number, self._file.tell())

    def close(self) -> None:
        """Close the file; `append` has reported a row that the disk refused."""
        try:
            self._file.close()
        except OSError:
            return

    def _open_shard(self) -> IO[bytes]:
        path = shard_path(self.path, self._number)
        try:
            is_new = not path.exists()
            file = path.open("ab")
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            raise write_error(path, error) from error
        return file


def read_rows(path: Path) -> Iterator[Json]:
    """Yield the rows of a file and of its further shards, unchecked; a torn last line is skipped.

    Raises: RunError that names the line that is no JSON object.
    """
    for shard in list_shards(path):
        yield from read_shard(shard)


def read_shard(path: Path) -> Iterator[Json]:
    """Yield the rows of one file, one at a time; see `read_rows`."""
    for number, line in read_lines(path):
        yield parse_row(path, number, line)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, from 1; a torn last line is skipped.

    A last row that lacks nothing but its line end is not torn.
    Raises: RunError if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n") or is_row(line):
                    yield number, line
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def count_lines(path: Path, end: int) -> int:
    """Count the lines of the first `end` bytes of a file."""
    with path.open("rb") as file:
        blocks = (file.read(min(BLOCK, end - start)) for start in range(0, end, BLOCK))
        return sum(block.count(b"\n") for block in blocks)


def parse_row(path: Path, number: int, line: bytes) -> Json:
    """Read one line of a file; a byte order mark, as some editors write it, is ignored.

    Raises: DamagedRowError that names the line, if it is no JSON object.
    """
    try:
        row = from_json(line.removeprefix(BOM).decode())
    except ValueError as error:
        raise DamagedRowError(path, number, "is not JSON", zeroed=b"\0" in line) from error
    if not isinstance(row, dict):
        raise DamagedRowError(path, number, "is not a JSON object")
    return row


def rewrite(
    path: Path, keep: Callable[[Json], bool], change: Callable[[bytes], bytes] = bytes
) -> None:
    """Drop the rows that `keep` refuses and `change` the lines of the others.

    Each file is replaced in one step; a file without a difference stays untouched. `keep` sees each
    row once.
    Raises: RunError.
    """
    for shard in list_shards(path):
        dropped: set[int] = set()
        changed = False
        for number, line in read_lines(shard):
            if not keep(parse_row(shard, number, line)):
                dropped.add(number)
            elif change(line) != line:
                changed = True
        if dropped or changed:
            lines = read_lines(shard)
            _replace_lines(shard, (change(line) for n, line in lines if n not in dropped))


def drop_lines(path: Path, numbers: Collection[int]) -> None:
    """Rewrite a file without some of its lines, numbered from 1; the others keep every byte.

    Raises: RunError.
    """
    _replace_lines(path, (line for number, line in read_lines(path) if number not in numbers))


def _replace_lines(path: Path, lines: Iterable[bytes]) -> None:
    temporary = path.with_suffix(".rewriting")
    try:
        with temporary.open("wb") as file:
            file.writelines(lines)
        put_in_place(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error


def set_lines_aside(path: Path, numbers: Collection[int]) -> Path:
    """Move lines of a file, numbered from 1, to a new file beside it, and return its path.

    Raises: RunError.
    """
    aside = _unused(path, "damaged")
    try:
        with aside.open("xb") as file:
            file.writelines(line for number, line in read_lines(path) if number in numbers)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(aside, error) from error
    drop_lines(path, numbers)
    return aside


def set_torn_end_aside(path: Path, *, repair: bool = True) -> Path | None:
    """Move the bytes after the last whole line of a file to a new file beside it; None if none.

    Raises: RunError.
    """
    aside = _unused(path, "damaged")
    try:
        with path.open("rb+" if repair else "rb") as file:
            size = file.seek(0, os.SEEK_END)
            cut = find_whole_end(file, size)
            if cut == size:
                return None
            if repair:
                file.seek(cut)
                aside.write_bytes(file.read())
                file.truncate(cut)
                os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error
    return aside


def set_aside(*paths: Path) -> list[Path]:
    """Rename earlier files to dated names, and list these: a restart loses nothing.

    Raises: RunError.
    """
    moved = []
    for path in paths:
        if path.exists():
            moved.append(_unused(path, "before"))
            try:
                path.replace(moved[-1])
            except OSError as error:
                raise RunError(f"{path}: cannot be set aside: {error.strerror}") from error
    return moved


def _unused(path: Path, why: str) -> Path:
    """Name a file after another, the time and, for a clock that stepped back, a number."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    names = (f"{path.name}.{why}-{stamp}{f'-{n}' if n else ''}" for n in count())
    return next(new for name in names if not (new := path.with_name(name)).exists())
