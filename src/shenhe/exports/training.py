"""The rows that such models are trained from: one photo a line, in pixels of the original."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from shenhe.errors import GeometryError
from shenhe.exports.labels import Labels
from shenhe.exports.pixels import shape_in_pixels
from shenhe.formats import summary
from shenhe.geometry import Line, Shape, from_numbers, kind_of, to_numbers
from shenhe.locations import Location, is_utf8, location_text
from shenhe.values import Annotation


def write(
    annotations: Iterable[Annotation], output: Path, labels: Labels, losses: Counter[str]
) -> None:
    """Write the file, with paths relative to its folder; descs stay whole whatever the labels."""
    with output.open("w", encoding="utf-8") as file:
        for annotation in annotations:
            file.write(row(annotation, _from(output.parent, annotation.image)) + "\n")


def row(annotation: Annotation, image: str) -> str:
    """Write one row, which names its photo so, without its newline."""
    objects = []
    for thing in annotation.objects:
        shape = shape_in_pixels(annotation, thing)
        fields: dict[str, object] = {kind_of(shape): _numbers(shape)}
        if isinstance(shape, Line):
            fields["line_points"] = len(shape.points)
        objects.append(fields | {"desc": thing.desc})
    told = {
        "images": [image],
        "objects": objects,
        "width": annotation.size_wh.width,
        "height": annotation.size_wh.height,
        "summary": annotation.summary or summary.render(thing.desc for thing in annotation.objects),
    }
    return json.dumps(told, ensure_ascii=False)


def _from(folder: Path, photo: Location) -> str:
    if isinstance(photo, Path):
        relative = os.path.relpath(photo.absolute(), folder.absolute())
        if is_utf8(relative):
            return relative
    return location_text(photo)


def _numbers(shape: Shape) -> list[float]:
    """Give whole pixels, or parts of them where whole ones would leave nothing of the shape."""
    exact = to_numbers(shape)
    whole = [round(number) for number in exact]
    try:
        from_numbers(kind_of(shape), whole)
    except GeometryError:
        return exact
    return list(whole)
