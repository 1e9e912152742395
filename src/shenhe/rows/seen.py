"""The photos of each group as a run's rows know them: what decisions are held against."""

from __future__ import annotations

from pathlib import Path

from shenhe.rows import fingerprints
from shenhe.rows.keys import key_of
from shenhe.rows.ledger import Json, read_rows
from shenhe.shards import list_rows_files


def row_inputs(run_dir: Path) -> dict[str, str | None]:
    """Give the fingerprint of each judged group's photos, without their times, by its key.

    None where Stage-A has no row of it now, or an earlier version wrote that.
    Raises: RunError if rows cannot be read.
    """
    found: dict[str, str | None] = {}
    for path in list_rows_files(run_dir / "stage_b"):
        found.update((key_of(row), None) for row in read_rows(path))
    for path in list_rows_files(run_dir / "stage_a"):
        found.update((key_of(row), _inputs(row)) for row in read_rows(path))
    return found


def _inputs(row: Json) -> str | None:
    meta = row.get("meta")
    inputs = meta.get("inputs_hash") if isinstance(meta, dict) else None
    return fingerprints.without_times(inputs) if isinstance(inputs, str) else None
