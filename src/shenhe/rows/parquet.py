"""Rows as Parquet, a file beside each shard, to query millions of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetWriter, read_schema

from shenhe.errors import RunError
from shenhe.files import put_in_place
from shenhe.row_types import known_probability
from shenhe.rows.ledger import Json, read_shard
from shenhe.shards import list_shards

BATCH = 10_000
_TEXTS = ("group_id", "mission", "label", "verdict", "reason", "status", "raw", "timestamp")
_TEXTS_OF_ANSWERS = ("id", "response", "dataset", "finish_reason")
_COLUMNS: dict[str, pa.DataType] = {name: pa.string() for name in _TEXTS + _TEXTS_OF_ANSWERS} | {
    "line": pa.int64(),
    "images": pa.list_(pa.string()),
    "per_image": pa.map_(pa.string(), pa.string()),
    "p_pass": pa.float64(),
    "repairs": pa.list_(pa.string()),
    "sizes_wh": pa.list_(pa.list_(pa.int64())),
}
"""Fields that are nested deeper, as `caption` and `meta`, are JSON in a text."""
_STAMP = b"shenhe.rows"
"""Key of the metadata that says which rows a file was made of."""


def write_parquet(rows_path: Path) -> list[Path]:
    """Write every shard that has no Parquet file, or one of other rows; whole or not at all.

    Raises: RunError for a line that is no row, or a disk that refuses.
    """
    written = []
    for path in list_shards(rows_path):
        target = path.with_suffix(".parquet")
        if is_current(path):
            continue
        temporary = target.with_suffix(".new")
        try:
            _write(path, temporary)
            put_in_place(temporary, target)
        except (OSError, pa.ArrowException, AttributeError, TypeError) as error:
            raise RunError(f"{target}: cannot be written: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        written.append(target)
    return written


def is_current(rows: Path) -> bool:
    """Whether a shard has a readable Parquet file that was made of its present rows."""
    try:
        metadata = read_schema(rows.with_suffix(".parquet")).metadata or {}
    except (OSError, pa.ArrowException):  # none, or torn
        return False
    return bool(metadata.get(_STAMP) == _stamp(rows))


def _stamp(path: Path) -> bytes:
    """Give size and time of a file, to compare for equality: clocks step back."""
    facts = path.stat()
    return f"{facts.st_size} {facts.st_mtime_ns}".encode()


def _write(path: Path, target: Path) -> None:
    rows, stamp = read_shard(path), _stamp(path)
    batch = list(islice(rows, BATCH))
    names = dict.fromkeys(batch[0] if batch else ())
    if "group_id" in names or "dataset" in names:
        names["extra"] = None  # only rows of other tools have it, and a later one may be the first
    fields = [_field(name) for name in names]
    schema = pa.schema(fields, metadata={_STAMP: stamp})
    with ParquetWriter(target, schema, compression="zstd") as writer:
        while batch:
            writer.write_table(pa.Table.from_pylist(list(_flat(batch)), schema))
            batch = list(islice(rows, BATCH))


def _field(name: str) -> pa.Field:
    return pa.field(name, _COLUMNS.get(name, pa.string()))


def _flat(rows: list[Json]) -> Iterator[Json]:
    for row in rows:
        flat: Json = {
            name: value if name in _COLUMNS else json.dumps(value, ensure_ascii=False)
            for name, value in row.items()
        }
        if "per_image" in row:
            flat["per_image"] = _items(row["per_image"])
        if "p_pass" in row:
            flat["p_pass"] = known_probability(row["p_pass"])
        if isinstance(images := row.get("images"), list):
            flat["images"] = [_path(image) for image in images]
        yield flat


def _path(image: object) -> object:
    """Give the path of a photo, which answers to a dataset have beside its bytes."""
    return image.get("path") if isinstance(image, dict) else image


def _items(lines: object) -> list[tuple[str, object]]:
    if not isinstance(lines, dict):
        raise TypeError("per_image is no object")
    return list(lines.items())
