"""Training rows: one photo a line, in pixels of the upright original.

A folder holds train.jsonl and images/; a single file names photos relative to its own folder.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from shenhe.errors import GeometryError
from shenhe.exports.pixels import shape_in_pixels
from shenhe.exports.rows_file import RowsFile
from shenhe.exports.settings import ExportSettings
from shenhe.formats import summary
from shenhe.geometry import (
    Polygon,
    Shape,
    crosses_itself,
    from_numbers,
    shape_key,
    to_fields,
    to_numbers,
)
from shenhe.values import Annotation, CaptionObject


class TrainingRecord(TypedDict):
    """A row. Units: pixels of the upright original."""

    images: list[str]
    objects: list[dict[str, object]]
    width: int
    height: int
    summary: str


def write(
    annotations: Iterable[Annotation], output: Path, settings: ExportSettings, losses: Counter[str]
) -> None:
    """Write the folder, or the file; descs stay whole, whatever the labels."""
    with RowsFile(output, settings, losses) as file:
        for annotation in annotations:
            file.write(row(annotation, file.photo_name(annotation.image)))


def row(annotation: Annotation, image: str) -> str:
    """Write one row as JSON, without its newline; `image` names the photo."""
    content: TrainingRecord = {
        "images": [image],
        "objects": [_fields(annotation, item) for item in annotation.objects],
        "width": annotation.size_wh.width,
        "height": annotation.size_wh.height,
        "summary": annotation.summary or summary.render(item.desc for item in annotation.objects),
    }
    # A summary of another form than a line stands among what another tool said.
    return json.dumps({**content, **annotation.extra}, ensure_ascii=False)


def _fields(annotation: Annotation, item: CaptionObject) -> dict[str, object]:
    shape = shape_in_pixels(annotation, item)
    return to_fields(shape) | {shape_key(shape): _numbers(shape), "desc": item.desc}


def _numbers(shape: Shape) -> list[float]:
    """Return whole pixels, or fractions if rounding would leave an invalid shape."""
    exact = to_numbers(shape)
    whole = [round(number) for number in exact]
    try:
        rounded = from_numbers(shape_key(shape), whole)
    except GeometryError:
        return exact
    if isinstance(rounded, Polygon) and crosses_itself(rounded):
        return exact
    return list(whole)
