"""Training rows: one photo a line, in pixels of the upright original."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from shenhe.errors import GeometryError
from shenhe.exports.labels import Labels
from shenhe.exports.pixels import shape_in_pixels
from shenhe.formats import summary
from shenhe.geometry import Shape, from_numbers, shape_key, to_fields, to_numbers
from shenhe.locations import Location, is_utf8, location_text
from shenhe.values import Annotation, CaptionObject


class TrainingRecord(TypedDict):
    """A row. Units: pixels of the upright original."""

    images: list[str]
    objects: list[dict[str, object]]
    width: int
    height: int
    summary: str


def write(
    annotations: Iterable[Annotation], output: Path, labels: Labels, losses: Counter[str]
) -> None:
    """Write the file, with paths relative to its folder; `labels` is ignored, descs stay whole."""
    with output.open("w", encoding="utf-8") as file:
        for annotation in annotations:
            file.write(row(annotation, _relative(output.parent, annotation.image)) + "\n")


def row(annotation: Annotation, image: str) -> str:
    """Write one row as JSON, without its newline; `image` names the photo."""
    content: TrainingRecord = {
        "images": [image],
        "objects": [_fields(annotation, item) for item in annotation.objects],
        "width": annotation.size_wh.width,
        "height": annotation.size_wh.height,
        "summary": annotation.summary or summary.render(item.desc for item in annotation.objects),
    }
    return json.dumps(content, ensure_ascii=False)


def _fields(annotation: Annotation, item: CaptionObject) -> dict[str, object]:
    shape = shape_in_pixels(annotation, item)
    return to_fields(shape) | {shape_key(shape): _numbers(shape), "desc": item.desc}


def _relative(folder: Path, photo: Location) -> str:
    if isinstance(photo, Path):
        relative = os.path.relpath(photo.absolute(), folder.absolute())
        if is_utf8(relative):
            return relative
    return location_text(photo)


def _numbers(shape: Shape) -> list[float]:
    """Return whole pixels, or fractions if rounding would leave an invalid shape."""
    exact = to_numbers(shape)
    whole = [round(number) for number in exact]
    try:
        from_numbers(shape_key(shape), whole)
    except GeometryError:
        return exact
    return list(whole)
