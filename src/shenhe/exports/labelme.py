"""LabelMe: one JSON file beside each photo; rectangles, polygons and line strips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from shenhe.exports.labelme_files import FileHead, LabelMeShape, ShapeType, write_files
from shenhe.exports.labels import Labels
from shenhe.exports.pixels import points_of, shape_in_pixels
from shenhe.exports.settings import ExportSettings
from shenhe.geometry import Box, Line
from shenhe.values import Annotation, CaptionObject

VERSION = "5.5.0"


def write(
    annotations: Iterable[Annotation], output: Path, settings: ExportSettings, losses: Counter[str]
) -> None:
    """Write the folder; `description` holds the whole desc."""

    def to_shape(annotation: Annotation, item: CaptionObject) -> LabelMeShape:
        return _shape(annotation, item, settings.labels)

    head: FileHead = {"version": VERSION, "flags": {}}
    write_files(annotations, output, settings, losses, head, to_shape)


def _shape(annotation: Annotation, item: CaptionObject, labels: Labels) -> LabelMeShape:
    shape = shape_in_pixels(annotation, item)
    points = points_of(shape)
    kind: ShapeType = "polygon"
    if isinstance(shape, Box):
        kind, points = "rectangle", [points[0], points[2]]
    elif isinstance(shape, Line):
        kind = "linestrip"
    return {
        "label": labels(item.desc),
        "points": points,
        "group_id": None,
        "description": item.desc,
        "shape_type": kind,
        "flags": {},
    }
