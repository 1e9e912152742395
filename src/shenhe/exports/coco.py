"""COCO: one JSON file; boxes as bbox, quads as segmentation too, lines as their bounding box."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shenhe.exports.labels import Labels
from shenhe.exports.pixels import bounds_xyxy, is_line, points_of, shape_in_pixels
from shenhe.geometry import Quad, region
from shenhe.values import Annotation, CaptionObject

LINES = "lines: COCO has no open lines; kept as their boxes, with the points under `polyline`"


def write(
    annotations: Iterable[Annotation], output: Path, labels: Labels, losses: Counter[str]
) -> None:
    """Write the file. Photos are named by their absolute paths; `desc` holds each whole desc."""
    categories: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    things: list[dict[str, Any]] = []
    for number, annotation in enumerate(annotations, 1):
        width, height = annotation.size_wh
        name = str(annotation.image)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for thing in annotation.objects:
            category = categories.setdefault(labels(thing.desc), len(categories) + 1)
            losses[LINES] += is_line(thing)
            ids = {"id": len(things) + 1, "image_id": number, "category_id": category}
            things.append(ids | _fields(annotation, thing))
    content = {
        "info": {"description": "shenhe"},
        "images": images,
        "annotations": things,
        "categories": [{"id": at, "name": name} for name, at in categories.items()],
    }
    output.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _fields(annotation: Annotation, thing: CaptionObject) -> dict[str, Any]:
    shape = shape_in_pixels(annotation, thing)
    x1, y1, x2, y2 = bounds_xyxy(shape)
    flat = [value for point in points_of(shape) for value in point]
    box = {"bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)], "iscrowd": 0, "desc": thing.desc}
    if is_line(thing):
        return box | {"area": 0.0, "segmentation": [], "polyline": flat}
    outline = [flat] if isinstance(shape, Quad) else []
    return box | {"area": round(float(region(shape).area), 2), "segmentation": outline}
