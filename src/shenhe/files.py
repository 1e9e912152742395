"""Files that are there whole, or not at all, whenever the machine stops."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shenhe.errors import RunError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNKNOWN_TO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
"""What file systems say that cannot have a folder written to disk."""


def write_error(path: Path, error: OSError) -> RunError:
    """Say that a file cannot be written and, where the disk is full, what to do."""
    remedy = "; free space, then run the same command again" if error.errno in DISK_FULL else ""
    if error.errno == errno.EISDIR:
        remedy = "; a folder stands in its place: move it away, then run the same command again"
    return RunError(f"{path}: cannot be written: {error.strerror}{remedy}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `path` when that went well.

    What is no file (/dev/stdout, a pipe) is written to itself: nothing may take its place.
    Raises: RunError if it cannot be written.
    """
    special = path.exists() and not path.is_file()
    fresh = path if special else path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield fresh
        if not special:
            put_in_place(fresh, path)
    except OSError as error:
        if not special:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
        raise write_error(path, error) from error


def put_in_place(fresh: Path, path: Path) -> None:
    """Move a written file to where it belongs; on return both its content and its name are on disk.

    Without that a rename can outlive what was written before it: a power cut then leaves an empty
    file where a whole one was.
    Raises: OSError.
    """
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names of a folder written to disk, where its file system knows how.

    Raises: OSError.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in _UNKNOWN_TO_FOLDERS:
            raise
    finally:
        os.close(opened)
