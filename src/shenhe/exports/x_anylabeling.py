"""X-AnyLabeling: one JSON file beside each photo; rectangles of four corners, polygons, strips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from shenhe.exports.labelme_files import FileHead, LabelMeShape, ShapeType, write_files
from shenhe.exports.labels import Labels
from shenhe.exports.pixels import points_of, shape_in_pixels
from shenhe.exports.settings import ExportSettings
from shenhe.geometry import Box, Line, Shape
from shenhe.values import Annotation, CaptionObject

VERSION = "3.0.0"


class XShape(LabelMeShape):
    """A shape with the fields that X-AnyLabeling adds."""

    score: None
    difficult: bool
    attributes: dict[str, str]
    kie_linking: list[list[int]]


class XFileHead(FileHead):
    """The beginning of a file with the field that X-AnyLabeling adds."""

    checked: bool


def write(
    annotations: Iterable[Annotation], output: Path, settings: ExportSettings, losses: Counter[str]
) -> None:
    """Write the folder; `description` holds the whole desc."""

    def to_shape(annotation: Annotation, item: CaptionObject) -> XShape:
        return _shape(annotation, item, settings.labels)

    head: XFileHead = {"version": VERSION, "flags": {}, "checked": False}
    write_files(annotations, output, settings, losses, head, to_shape)


def _shape(annotation: Annotation, item: CaptionObject, labels: Labels) -> XShape:
    shape = shape_in_pixels(annotation, item)
    return {
        "label": labels(item.desc),
        "score": None,
        "points": points_of(shape),
        "group_id": None,
        "description": item.desc,
        "difficult": False,
        "shape_type": _shape_type(shape),
        "flags": {},
        "attributes": {},
        "kie_linking": [],
    }


def _shape_type(shape: Shape) -> ShapeType:
    if isinstance(shape, Box):
        return "rectangle"
    return "linestrip" if isinstance(shape, Line) else "polygon"
