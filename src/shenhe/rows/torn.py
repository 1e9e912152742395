"""The torn end of a file: what a process wrote when it died, after the last whole line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO

from pydantic_core import from_json

from shenhe.errors import RunError
from shenhe.files import write_error
from shenhe.shards import list_shards


def is_row(line: bytes) -> bool:
    """Whether a last line without a line end is a whole row all the same.

    Tools that join rows write no last line end; a torn row has lost at least its brace.
    """
    try:
        return isinstance(from_json(line), dict)
    except ValueError:
        return False


def count_torn_bytes(rows_path: Path) -> int:
    """Count the bytes after the last whole row of rows that another process may still write.

    Raises: RunError if they cannot be read.
    """
    path = next(reversed(list_shards(rows_path)), None)
    if path is None:
        return 0
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            end = _after_last_newline(file, size)
            file.seek(end)
            return 0 if is_row(file.read()) else size - end
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def drop_torn_end(rows_path: Path) -> None:
    """Cut the last file after its last whole line.

    A line without its end, or a last line that is no JSON, was being written when the process died.

    Raises: RunError if the file cannot be written.
    """
    path = next(reversed(list_shards(rows_path)), None)
    if path is None:
        return
    try:
        with path.open("rb+") as file:
            size = file.seek(0, os.SEEK_END)
            cut = find_whole_end(file, size)
            if cut != size:
                file.truncate(cut)
                # Without it the next rows could outlive the cut, and follow the torn bytes.
                os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error


def terminate_last_row(path: Path, *, repair: bool) -> bool:
    """Write the line end of a last row that lacks nothing else; True if the file has such a row.

    Raises: RunError if the file cannot be read or written.
    """
    try:
        with path.open("rb+" if repair else "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(_after_last_newline(file, size))
            if not is_row(file.read()):
                return False
            if repair:
                file.write(b"\n")
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise write_error(path, error) from error
    return True


def find_whole_end(file: IO[bytes], size: int) -> int:
    """Find where the whole lines of a file end, in bytes."""
    cut = _after_last_newline(file, size)
    if cut and cut == size:
        start = _after_last_newline(file, size - 1)
        file.seek(start)
        try:
            json.loads(file.read(size - start))
        except (ValueError, RecursionError):
            return start
    return cut


def _after_last_newline(file: IO[bytes], end: int, block: int = 65_536) -> int:
    """Find where the line that ends at `end` begins."""
    while end:
        start = max(0, end - block)
        file.seek(start)
        position = file.read(end - start).rfind(b"\n")
        if position >= 0:
            return start + position + 1
        end = start
    return 0
