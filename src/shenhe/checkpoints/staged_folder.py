"""A folder that is complete or absent: written beside its place, and renamed at the end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from shenhe.errors import CheckpointError

SPARE_BYTES = 64 << 20
"""Free space required beyond the size of the content."""


@contextmanager
def staged_folder(output: Path, nbytes: int) -> Iterator[Path]:
    """Yield a folder to write `nbytes` to; it takes the place of `output` when the block succeeds.

    Other processes are kept out by a lock beside the folder. A process that is killed leaves a
    `.partial` folder, which the next call removes.

        with staged_folder(Path("merged"), nbytes=1000) as folder:
            (folder / "config.json").write_text("{}")

    Raises: CheckpointError if another process writes to `output`, if the disk has too little space,
    or if something cannot be written.
    """
    partial = output.with_name(f".{output.name}.partial")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = output.with_name(f".{output.name}.lock")
        # A lock that cannot be created looks like one that another process holds.
        tempfile.TemporaryFile(dir=output.parent).close()
        with FileLock(lock, timeout=0):
            shutil.rmtree(partial, ignore_errors=True)  # left by a killed process
            _check_free_space(output, nbytes)
            partial.mkdir()
            try:
                yield partial
                _replace_folder(partial, output)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
                lock.unlink(missing_ok=True)
    except Timeout as error:
        raise CheckpointError(f"{output}: another merge writes to it; wait for it") from error
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written: {error.strerror}") from error


def _check_free_space(output: Path, nbytes: int) -> None:
    free = shutil.disk_usage(output.parent).free
    if free < nbytes + SPARE_BYTES:
        raise CheckpointError(
            f"{output}: needs {nbytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
        )


def _replace_folder(partial: Path, output: Path) -> None:
    """Rename a complete folder; an existing one is removed only after that."""
    if not output.exists():
        partial.replace(output)
        return
    old = output.with_name(f".{output.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    output.replace(old)
    partial.replace(output)
    shutil.rmtree(old)
