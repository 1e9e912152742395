"""Rows as Parquet, a file beside each shard, for whoever queries millions of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from shenhe.errors import RunError
from shenhe.runs.ledger import Json, read_shard
from shenhe.shards import shards

BATCH = 10_000
_TEXTS = ("group_id", "mission", "label", "verdict", "reason", "status", "raw", "timestamp")
_COLUMNS: dict[str, pa.DataType] = {name: pa.string() for name in _TEXTS} | {
    "images": pa.list_(pa.string()),
    "per_image": pa.map_(pa.string(), pa.string()),
    "p_pass": pa.float64(),
    "repairs": pa.list_(pa.string()),
    "sizes_wh": pa.list_(pa.list_(pa.int64())),
}
"""What is nested deeper, as `caption` and `meta`, is JSON in a text."""


def write_parquet(rows_path: Path) -> list[Path]:
    """Write every shard that has no Parquet file, or one that is older; whole or not at all.

    Raises: RunError for rows that are none, or a disk that refuses.
    """
    written = []
    for path in shards(rows_path):
        target = path.with_suffix(".parquet")
        if target.exists() and target.stat().st_mtime_ns >= path.stat().st_mtime_ns:
            continue
        fresh = target.with_suffix(".new")
        try:
            _write(path, fresh)
            fresh.replace(target)
        except (OSError, pa.ArrowException) as error:
            fresh.unlink(missing_ok=True)
            raise RunError(f"{target}: cannot be written: {error}") from error
        written.append(target)
    return written


def _write(path: Path, target: Path) -> None:
    rows = read_shard(path)
    some = list(islice(rows, BATCH))
    schema = pa.schema([_field(name) for name in (some[0] if some else {})])
    with ParquetWriter(target, schema, compression="zstd") as writer:
        while some:
            writer.write_table(pa.Table.from_pylist(list(_flat(some)), schema))
            some = list(islice(rows, BATCH))


def _field(name: str) -> pa.Field:
    return pa.field(name, _COLUMNS.get(name, pa.string()))


def _flat(rows: list[Json]) -> Iterator[dict[str, Any]]:
    for row in rows:
        yield {
            name: value if name in _COLUMNS else json.dumps(value, ensure_ascii=False)
            for name, value in row.items()
        } | ({"per_image": list(row["per_image"].items())} if "per_image" in row else {})
