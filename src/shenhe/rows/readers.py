"""Typed rows from our own files and from those of others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from shenhe.errors import RunError
from shenhe.row_types import CaptionRow
from shenhe.rows.ledger import read_rows
from shenhe.shards import list_rows_files


def caption_files(run_dir: Path) -> list[Path]:
    """List the caption rows that lie in a run's folder: captions.jsonl, captions/*.jsonl."""
    named = [run_dir / "captions.jsonl", *list_rows_files(run_dir / "captions")]
    return [path for path in named if path.is_file()]


def read_captions(rows_path: Path) -> Iterator[CaptionRow]:
    """Yield the caption rows of a file, one at a time.

    Raises: RunError that names the first row of another form.
    """
    for number, row in enumerate(read_rows(rows_path), 1):
        try:
            yield CaptionRow.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise RunError(
                f"{rows_path}: line {number} is no caption row: {where}: {first['msg']}"
            ) from error
