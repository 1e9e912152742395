"""Files that are there whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shenhe.errors import RunError


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
            fresh.replace(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error
