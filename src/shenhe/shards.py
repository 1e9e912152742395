"""Rows in several files: `name.jsonl`, then `name.0002.jsonl`, `name.0003.jsonl`, in this order."""

from __future__ import annotations

import glob
import re
from pathlib import Path

_NUMBERED = re.compile(r"\.\d{4,}\.jsonl$")


def shard_path(path: Path, number: int) -> Path:
    """Name a shard of a rows file, which is the first one itself."""
    return path if number == 1 else path.with_name(f"{path.stem}.{number:04d}.jsonl")


def list_shards(path: Path) -> list[Path]:
    """List a rows file and its further shards, in order; nothing where there is none."""
    found = path.parent.glob(f"{glob.escape(path.stem)}.*.jsonl")
    further = sorted(
        (other for other in found if _NUMBERED.search(other.name) and _first(other) == path),
        key=lambda other: int(other.stem.rpartition(".")[2]),
    )
    return [path, *further] if path.exists() else []


def list_rows_files(folder: Path) -> list[Path]:
    """List the rows files of a folder: neither their further shards, nor failures."""
    return sorted(filter(is_rows_file, folder.glob("*.jsonl")))


def is_rows_file(path: Path) -> bool:
    """Whether a name is that of a rows file: no further shard, and no failures."""
    return ".failures." not in path.name and not _NUMBERED.search(path.name)


def _first(path: Path) -> Path:
    return path.with_name(f"{path.stem.rpartition('.')[0]}.jsonl")
