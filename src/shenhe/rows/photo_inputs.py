"""Fingerprints of each group's photos as the rows of a run hold them: decisions depend on these."""

from __future__ import annotations

from pathlib import Path

from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.rows import fingerprints
from shenhe.rows.ledger import Json
from shenhe.rows.readers import read_keyed
from shenhe.shards import list_rows_files


def read_photo_inputs(run_dir: Path) -> dict[str, str | None]:
    """Map the key of each judged group to the fingerprint of its photos, without their times.

    The fingerprint is None where Stage-A has no row of the group now, or where an earlier version
    wrote the row.
    Raises: RunError if rows cannot be read, or have no key.
    """
    inputs: dict[str, str | None] = {}
    for path in list_rows_files(run_dir / "stage_b"):
        inputs.update((row.key, None) for row in read_keyed(path, VerdictRow))
    for path in list_rows_files(run_dir / "stage_a"):
        inputs.update((row.key, _photo_inputs(row.json)) for row in read_keyed(path, SummaryRow))
    return inputs


def _photo_inputs(row: Json) -> str | None:
    meta = row.get("meta")
    inputs_hash = meta.get("inputs_hash") if isinstance(meta, dict) else None
    return fingerprints.without_times(inputs_hash) if isinstance(inputs_hash, str) else None
