"""JSONL that survives anything: append and flush a row at a time, drop a torn end, refuse a
second writer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

from filelock import FileLock, Timeout
from pydantic_core import from_json

from shenhe.errors import DamagedRowError, OutputBusyError, RunError
from shenhe.files import put_in_place, sync_folder, write_error
from shenhe.row_types import Row
from shenhe.rows.torn import drop_torn_end, is_row, whole_end
from shenhe.shards import list_shards, shard_path

Json = dict[str, Any]
SYNC_SECONDS = 1.0
"""So often rows are written to disk, for the day on which the power goes: killing loses none."""
BLOCK = 1 << 20
BOM = b"\xef\xbb\xbf"


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
            _make_folder(self._path.parent)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise OutputBusyError(
                f"{self._path}: another shenhe writes to it; wait for it, or use another folder"
            ) from error
        except OSError as error:
            raise write_error(self._path, error) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, on disk too: else what is in it has no place there."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


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
        self._number = max(1, len(list_shards(path)))
        self._synced = time.monotonic()
        self._file = self._opened()

    def append(self, *rows: Row) -> None:
        """Write rows and hand them to the system, so that killing this process cannot lose them.

        Once a second they are written to disk, so that a power cut loses the last ones at most.
        Raises: RunError, for instance on a full disk; what was written before stays valid.
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
            self._file = self._opened()
        elif time.monotonic() - self._synced >= SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have what was appended written to disk.

        Raises: RunError if the disk refuses it.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(self.path, error) from error
        self._synced = time.monotonic()

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
    """Yield the rows of a file and of its further shards; a torn last line is passed over.

    Raises: RunError that names the line that is no JSON object.
    """
    for one in list_shards(path):
        yield from read_shard(one)


def read_shard(path: Path) -> Iterator[Json]:
    """Yield the rows of one file, one at a time; see `read_rows`."""
    for number, line in whole_lines(path):
        yield parse_row(path, number, line)


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers, from 1; a torn last one is passed over.

    One that lacks nothing but its end is none.
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
    """Read one line of a file; the mark that some editors put before the first one is no matter.

    Raises: DamagedRowError that names the line, where it is no JSON object.
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
    """Drop the rows that `keep` refuses and `change` the lines of the others, each file in one
    step; a file in which all is as it should be stays untouched. `keep` sees each row once.

    Raises: RunError.
    """
    for one in list_shards(path):
        unwanted: set[int] = set()
        changed = False
        for number, line in whole_lines(one):
            if not keep(parse_row(one, number, line)):
                unwanted.add(number)
            elif change(line) != line:
                changed = True
        if unwanted or changed:
            lines = whole_lines(one)
            _write_anew(one, (change(line) for n, line in lines if n not in unwanted))


def drop_lines(path: Path, numbers: Collection[int]) -> None:
    """Write a file anew without some of its lines, from 1; the others keep every byte.

    Raises: RunError.
    """
    _write_anew(path, (line for number, line in whole_lines(path) if number not in numbers))


def _write_anew(path: Path, lines: Iterable[bytes]) -> None:
    fresh = path.with_suffix(".rewriting")
    try:
        with fresh.open("wb") as file:
            file.writelines(lines)
        put_in_place(fresh, path)
    except OSError as error:
        raise write_error(path, error) from error


def set_lines_aside(path: Path, numbers: Collection[int]) -> Path:
    """Move lines of a file, from 1, to another beside it, which is named; every byte is kept.

    Raises: RunError.
    """
    aside = _unused(path, "damaged")
    try:
        with aside.open("xb") as file:
            file.writelines(line for number, line in whole_lines(path) if number in numbers)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(aside, error) from error
    drop_lines(path, numbers)
    return aside


def set_torn_end_aside(path: Path, *, mend: bool = True) -> Path | None:
    """Move what stands behind the last whole line of a file to another beside it; None if nothing.

    Raises: RunError.
    """
    aside = _unused(path, "damaged")
    try:
        with path.open("rb+" if mend else "rb") as file:
            size = file.seek(0, os.SEEK_END)
            cut = whole_end(file, size)
            if cut == size:
                return None
            if mend:
                file.seek(cut)
                aside.write_bytes(file.read())
                file.truncate(cut)
                os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error
    return aside


def set_aside(*paths: Path) -> list[Path]:
    """Move earlier files away under a dated name, and list those: `--restart` loses nothing.

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
    """Name a file after another, the time and, as clocks say times twice, if need be a number."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    names = (f"{path.name}.{why}-{stamp}{f'-{n}' if n else ''}" for n in count())
    return next(new for name in names if not (new := path.with_name(name)).exists())
