"""The files of rows that an index is built from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from shenhe.errors import RunError, spelled
from shenhe.rows.keys import failures_file
from shenhe.rows.photo_marks import earlier_runs_of
from shenhe.rows.readers import caption_files
from shenhe.shards import list_rows_files, list_shards


class Sources(NamedTuple):
    """Absolute paths of the files of a run, shard by shard."""

    stage_a: list[Path]
    stage_a_failures: list[Path]
    stage_b: list[Path]
    captions: list[Path]
    earlier: list[Path]
    """Earlier runs that the verdicts were compared with."""

    def all(self) -> list[Path]:
        """List all files in the order of their numbers in the index."""
        return [*self.stage_a, *self.stage_a_failures, *self.stage_b, *self.captions]


class FileStamp(NamedTuple):
    """State of a file when it was indexed. Units: bytes, nanoseconds."""

    path: str
    size: int
    changed: int


def find_sources(run_dir: Path, captions: Sequence[Path]) -> Sources:
    """Find the files of a run; without `captions`, the caption rows in its folder.

    Raises: RunError if the run has no verdicts, or a file of `captions` does not exist.
    """
    stage_a, stage_b = (
        [shard for path in list_rows_files(run_dir / name) for shard in list_shards(path)]
        for name in ("stage_a", "stage_b")
    )
    if not stage_b:
        raise RunError(f"{run_dir}: no verdicts in {run_dir / 'stage_b'}; run `shenhe run` first")
    caption_shards = [
        shard for path in captions or caption_files(run_dir) for shard in list_shards(path)
    ]
    for path in captions:
        if not path.is_file():
            raise RunError(f"{spelled('captions', path)}: no such file")
    failures = [failures_file(path) for path in list_rows_files(run_dir / "stage_a")]
    return Sources(
        _absolute(stage_a),
        _absolute(filter(Path.exists, failures)),
        _absolute(stage_b),
        _absolute(caption_shards),
        earlier_runs_of(run_dir),
    )


def _absolute(paths: Iterable[Path]) -> list[Path]:
    return [path.absolute() for path in paths]


def stamp_file(path: Path) -> FileStamp:
    """Give the size and the modification time of a file."""
    status = path.stat()
    return FileStamp(str(path), status.st_size, status.st_mtime_ns)
