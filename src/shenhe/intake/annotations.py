"""Annotations of photos, from caption rows and training rows, in one coordinate frame.

A row with the key `caption` was written by `shenhe caption`. Any other is a training row:
{"images": [path], "objects": [{"bbox_2d"|"quad"|"poly"|"line": [...], "desc": "..."}], "width": W,
"height": H, "summary": "..."}, in pixels of the upright original.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shenhe.errors import FormatError, GeometryError, IntakeError, UsageError
from shenhe.formats.caption import from_grouped
from shenhe.geometry import COUNT_KEYS, GEOMETRIES, Size, from_numbers, from_pixels
from shenhe.locations import absolute, locate_beside
from shenhe.row_types import CaptionRow, describe_invalid
from shenhe.shards import list_shards
from shenhe.values import Annotation, CaptionObject


class TrainingObject(BaseModel):
    """One object of a training row. Units: pixels of the upright original."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bbox_2d: list[float] | None = None
    quad: list[float] | None = None
    poly: list[float] | None = None
    poly_points: int | None = None
    line: list[float] | None = None
    line_points: int | None = None
    desc: str = Field(min_length=1)


class TrainingRow(BaseModel):
    """A training row; keys of other tools are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    images: list[str] = Field(min_length=1, max_length=1)
    objects: list[TrainingObject]
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    summary: str = ""


def read_annotations(path: Path) -> Iterator[Annotation]:
    """Yield the annotation of each photo in a file of caption or training rows, or in its shards.

        truth = {annotation.image: annotation for annotation in read_annotations(path)}

    Raises: IntakeError that names the line of an invalid row.
    """
    for shard in list_shards(path) or [path]:
        yield from _read_file(shard)


def _read_file(path: Path) -> Iterator[Annotation]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield from _read_line(path, number, line)
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise IntakeError(f"{path}: not UTF-8 text: {error}") from error


def _read_line(path: Path, number: int, line: str) -> Iterator[Annotation]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise TypeError("not a JSON object")
        if "caption" in row:
            yield from _from_caption(CaptionRow.model_validate(row))
        else:
            yield _from_training(path, TrainingRow.model_validate(row))
    except RecursionError as error:
        raise IntakeError(f"{path}: line {number}: nested too deeply") from error
    except ValidationError as error:
        raise IntakeError(f"{path}: line {number}: {describe_invalid(error)}") from error
    except (ValueError, TypeError, FormatError, GeometryError, UsageError) as error:
        raise IntakeError(f"{path}: line {number}: {error}") from error


def _from_caption(row: CaptionRow) -> Iterator[Annotation]:
    value = from_grouped(row.caption, len(row.images))
    for photo, size_wh, objects in zip(row.photos, row.sizes_wh, value.photos, strict=True):
        yield Annotation(absolute(photo), Size(*size_wh), objects)


def _from_training(file: Path, row: TrainingRow) -> Annotation:
    size = Size(row.width, row.height)
    objects = tuple(_object(number, entry, size) for number, entry in enumerate(row.objects, 1))
    return Annotation(absolute(locate_beside(file, row.images[0])), size, objects, row.summary)


def _object(number: int, entry: TrainingObject, size_wh: Size) -> CaptionObject:
    numbers_by_kind: list[tuple[str, list[float]]] = [
        (kind, numbers) for kind in GEOMETRIES if (numbers := getattr(entry, kind)) is not None
    ]
    if len(numbers_by_kind) != 1:
        raise FormatError("geometry_count", f"object {number} needs one of {GEOMETRIES}")
    ((kind, numbers),) = numbers_by_kind
    count_key = COUNT_KEYS.get(kind)
    count = getattr(entry, count_key) if count_key else None
    if count is not None and 2 * count != len(numbers):
        raise FormatError("geometry", f"object {number}: {count_key} {count}")
    return CaptionObject(from_pixels(from_numbers(kind, numbers), size_wh), entry.desc)
