"""LabelMe: one JSON file beside each photo; rectangles, polygons and line strips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shenhe.exports.beside import write_beside
from shenhe.exports.labels import Labels
from shenhe.exports.pixels import points_of, shape_in_pixels
from shenhe.geometry import Box, Line
from shenhe.values import Annotation, CaptionObject

VERSION = "5.5.0"


def write(
    annotations: Iterable[Annotation], output: Path, labels: Labels, losses: Counter[str]
) -> None:
    """Write the folder; `description` holds each whole desc."""
    head = {"version": VERSION, "flags": {}}
    write_beside(
        annotations, output, losses, head, lambda whole, thing: _shape(whole, thing, labels)
    )


def _shape(annotation: Annotation, thing: CaptionObject, labels: Labels) -> dict[str, Any]:
    shape = shape_in_pixels(annotation, thing)
    points = points_of(shape)
    kind = "polygon"
    if isinstance(shape, Box):
        kind, points = "rectangle", [points[0], points[2]]
    elif isinstance(shape, Line):
        kind = "linestrip"
    return {
        "label": labels(thing.desc),
        "points": points,
        "group_id": None,
        "description": thing.desc,
        "shape_type": kind,
        "flags": {},
    }
