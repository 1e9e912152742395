"""Which photos are equal, by their contents: few of many are read whole."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 1 << 20
_MIDDLE_BYTES: Final = 256


def find_equal(paths: Iterable[Path], unreadable: set[Path]) -> Iterator[list[Path]]:
    """Yield the files that have equal contents, those of one content together.

    Only files of one size are opened, and only those that are equal in the middle are read whole.
    Files that cannot be read are added to `unreadable`.
    """
    steps = (_size, _middle, _hash)
    yield from _refine(list(paths), steps, unreadable)


def size_of(path: Path) -> int | None:
    """Give the size of a file in bytes; None if it cannot be reached."""
    size = _read(_size, path, set())
    return size if isinstance(size, int) else None


Step = Callable[[Path], object]


def _refine(
    paths: list[Path], steps: tuple[Step, ...], unreadable: set[Path]
) -> Iterator[list[Path]]:
    if not steps:
        yield paths
        return
    by_fact: dict[object, list[Path]] = defaultdict(list)
    for path in paths:
        fact = _read(steps[0], path, unreadable)
        if fact is not None:
            by_fact[fact].append(path)
    for equal in by_fact.values():
        if len(equal) > 1:
            yield from _refine(equal, steps[1:], unreadable)


def _read(step: Step, path: Path, unreadable: set[Path]) -> object:
    try:
        return step(path)
    except (OSError, ValueError):  # ValueError: a zero byte in a name
        unreadable.add(path)
        return None


def _size(path: Path) -> int:
    return path.stat().st_size


def _middle(path: Path) -> bytes:
    """Read where photos of one camera differ: not their beginning."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size // 2 - _MIDDLE_BYTES // 2))
        return file.read(_MIDDLE_BYTES)


def _hash(path: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.digest()
