"""Files that are written whole or not at all, also when the machine stops."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shenhe.errors import RunError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EBADF)
"""Errors of file systems that cannot sync a folder."""


def write_error(path: Path, error: OSError) -> RunError:
    """Return the error for a file that cannot be written, with the remedy if there is one."""
    remedy = "; free space, then run the same command again" if error.errno in DISK_FULL else ""
    if error.errno == errno.EISDIR:
        remedy = "; a folder stands in its place: move it away, then run the same command again"
    return RunError(f"{path}: cannot be written: {error.strerror}{remedy}")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` if the block succeeds, else is removed.

    A special file (/dev/stdout, a pipe) cannot be replaced and is written in place.
    Raises: RunError if it cannot be written.

        with whole_file(path) as temporary:
            temporary.write_text(text)
    """
    special = path.exists() and not path.is_file()
    temporary = path if special else path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if not special:
            put_in_place(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        if not special:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a written file to `path`; on return its content and its name are on disk.

    Without the syncs a rename can reach the disk before the content: after a power cut an empty
    file would stand where a whole one was.
    Raises: OSError.
    """
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk, if its file system can.

    Raises: OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
