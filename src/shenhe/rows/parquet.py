"""Rows as Parquet, a file beside each shard, for whoever queries millions of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.parquet import ParquetWriter, read_schema

from shenhe.errors import RunError
from shenhe.files import put_in_place
from shenhe.row_types import known_probability
from shenhe.rows.ledger import Json, read_shard
from shenhe.shards import list_shards

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
_OF = b"shenhe.rows"
"""Under this name a file tells which rows it was made of."""


def write_parquet(rows_path: Path) -> list[Path]:
    """Write every shard that has no Parquet file, or one of other rows; whole or not at all.

    Raises: RunError for rows that are none, or a disk that refuses.
    """
    written = []
    for path in list_shards(rows_path):
        target = path.with_suffix(".parquet")
        if is_current(path):
            continue
        fresh = target.with_suffix(".new")
        try:
            _write(path, fresh)
            put_in_place(fresh, target)
        except (OSError, pa.ArrowException, AttributeError, TypeError) as error:
            raise RunError(f"{target}: cannot be written: {error}") from error
        finally:
            fresh.unlink(missing_ok=True)
        written.append(target)
    return written


def is_current(rows: Path) -> bool:
    """Whether a shard has a Parquet file that can be read, and was made of it as it is now."""
    try:
        told = read_schema(rows.with_suffix(".parquet")).metadata or {}
    except (OSError, pa.ArrowException):  # none, or torn
        return False
    return bool(told.get(_OF) == _stamp(rows))


def _stamp(path: Path) -> bytes:
    """Tell a file from what it was: by equality, as clocks step back."""
    facts = path.stat()
    return f"{facts.st_size} {facts.st_mtime_ns}".encode()


def _write(path: Path, target: Path) -> None:
    rows, stamp = read_shard(path), _stamp(path)
    some = list(islice(rows, BATCH))
    fields = [_field(name) for name in (some[0] if some else {})]
    schema = pa.schema(fields, metadata={_OF: stamp})
    with ParquetWriter(target, schema, compression="zstd") as writer:
        while some:
            writer.write_table(pa.Table.from_pylist(list(_flat(some)), schema))
            some = list(islice(rows, BATCH))


def _field(name: str) -> pa.Field:
    return pa.field(name, _COLUMNS.get(name, pa.string()))


def _flat(rows: list[Json]) -> Iterator[dict[str, Any]]:
    for row in rows:
        flat = {
            name: value if name in _COLUMNS else json.dumps(value, ensure_ascii=False)
            for name, value in row.items()
        }
        if "per_image" in row:
            flat["per_image"] = list(row["per_image"].items())
        if "p_pass" in row:
            flat["p_pass"] = known_probability(row["p_pass"])
        yield flat
