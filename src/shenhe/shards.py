"""Rows in several files: `name.jsonl`, then `name.0002.jsonl`, `name.0003.jsonl`, in this order."""

from __future__ import annotations

import glob
import re
from pathlib import Path

_NUMBERED = re.compile(r"\.\d{4,}\.jsonl$")


def shard_path(path: Path, number: int) -> Path:
    """Return the path of a shard of a rows file; the file itself is the first shard.

    >>> shard_path(Path("a.jsonl"), 2).name
    'a.0002.jsonl'
    """
    return path if number == 1 else path.with_name(f"{path.stem}.{number:04d}.jsonl")


def list_shards(path: Path) -> list[Path]:
    """List a rows file and its further shards, in order; empty if there is no rows file."""
    candidates = path.parent.glob(f"{glob.escape(path.stem)}.*.jsonl")
    further = sorted(
        (shard for shard in candidates if _NUMBERED.search(shard.name) and _first(shard) == path),
        key=lambda shard: int(shard.stem.rpartition(".")[2]),
    )
    return [path, *further] if path.exists() else []


def list_rows_files(folder: Path) -> list[Path]:
    """List the rows files of a folder, without their further shards and without failures."""
    return sorted(filter(is_rows_file, folder.glob("*.jsonl")))


def is_rows_file(path: Path) -> bool:
    """Whether a path is named as a rows file, and not as a further shard or as failures.

    >>> is_rows_file(Path("a.jsonl")), is_rows_file(Path("a.failures.jsonl"))
    (True, False)
    """
    return ".failures." not in path.name and not _NUMBERED.search(path.name)


def first_shard(path: Path) -> Path:
    """Return the rows file that a path is a shard of; the file itself if it is the first.

    >>> first_shard(Path("a.0002.jsonl")).name, first_shard(Path("a.jsonl")).name
    ('a.jsonl', 'a.jsonl')
    """
    return _first(path) if _NUMBERED.search(path.name) else path


def _first(shard: Path) -> Path:
    return shard.with_name(f"{shard.stem.rpartition('.')[0]}.jsonl")
