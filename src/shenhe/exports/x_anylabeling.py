"""X-AnyLabeling: one JSON file beside each photo; rectangles of four corners, polygons, strips."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shenhe.exports.labels import Labels
from shenhe.exports.pixels import in_pixels, place_photo, points_of
from shenhe.geometry import Box, Line
from shenhe.records import Annotation, CaptionObject

VERSION = "3.0.0"


def write(
    annotations: Iterable[Annotation], output: Path, labels: Labels, losses: Counter[str]
) -> None:
    """Write the folder; `description` holds each whole desc."""
    output.mkdir()
    for annotation in annotations:
        photo = place_photo(annotation.image, output, losses)
        content: dict[str, Any] = {
            "version": VERSION,
            "flags": {},
            "checked": False,
            "shapes": [_shape(annotation, thing, labels) for thing in annotation.objects],
            "imagePath": photo.name,
            "imageData": None,
            "imageHeight": annotation.size_wh.height,
            "imageWidth": annotation.size_wh.width,
        }
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        photo.with_suffix(".json").write_text(text, encoding="utf-8")


def _shape(annotation: Annotation, thing: CaptionObject, labels: Labels) -> dict[str, Any]:
    shape = in_pixels(annotation, thing)
    kind = {Box: "rectangle", Line: "linestrip"}.get(type(shape), "polygon")
    return {
        "label": labels(thing.desc),
        "score": None,
        "points": points_of(shape),
        "group_id": None,
        "description": thing.desc,
        "difficult": False,
        "shape_type": kind,
        "flags": {},
        "attributes": {},
        "kie_linking": [],
    }
