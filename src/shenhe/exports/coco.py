"""COCO: boxes as bbox, polygons as segmentation too, lines as their bounding box.

A folder holds annotations/instances_default.json and images/, where the photos lie; a single file
names photos by their absolute paths.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NotRequired, TypedDict

from shenhe.exports.pixels import add_photo, bounds_xyxy, is_line, points_of, shape_in_pixels
from shenhe.exports.settings import ExportSettings, is_file
from shenhe.geometry import Polygon, region
from shenhe.locations import Location
from shenhe.values import Annotation, CaptionObject

ANNOTATIONS, PHOTOS = "annotations", "images"
LINES = "lines: COCO has no open lines; kept as their boxes, with the points under `polyline`"


class CocoImage(TypedDict):
    """A photo. Units: pixels."""

    id: int
    file_name: str
    width: int
    height: int


class CocoAttributes(TypedDict):
    """Attributes in the form of CVAT and Datumaro, which keep no other keys of their own."""

    desc: str


class CocoGeometry(TypedDict):
    """The geometry of an annotation, with its desc. Units: pixels. Shape: bbox is xywh."""

    bbox: list[float]
    iscrowd: int
    desc: str
    attributes: CocoAttributes
    area: float
    segmentation: list[list[float]]
    polyline: NotRequired[list[float]]


class CocoAnnotation(CocoGeometry):
    """An object: its geometry, its photo and its category."""

    id: int
    image_id: int
    category_id: int


def write(
    annotations: Iterable[Annotation], output: Path, settings: ExportSettings, losses: Counter[str]
) -> None:
    """Write the folder, or the file; `desc` holds the whole desc."""
    if not is_file(output):
        (output / PHOTOS).mkdir(parents=True)
        (output / ANNOTATIONS).mkdir()

    categories: dict[str, int] = {}
    images: list[CocoImage] = []
    objects: list[CocoAnnotation] = []
    for number, annotation in enumerate(annotations, 1):
        width, height = annotation.size_wh
        name = _photo_name(annotation.image, output, settings, losses)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for item in annotation.objects:
            category = categories.setdefault(settings.labels(item.desc), len(categories) + 1)
            losses[LINES] += is_line(item)
            coco: CocoAnnotation = {
                "id": len(objects) + 1,
                "image_id": number,
                "category_id": category,
                **_geometry(annotation, item),
            }
            objects.append(coco)
    content = {
        "info": {"description": "shenhe"},
        "images": images,
        "annotations": objects,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }
    target = output if is_file(output) else output / ANNOTATIONS / "instances_default.json"
    target.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")


def _photo_name(
    photo: Location, output: Path, settings: ExportSettings, losses: Counter[str]
) -> str:
    if is_file(output):
        return str(photo)
    return add_photo(photo, output / PHOTOS, losses, copy=settings.copy_photos).name


def _geometry(annotation: Annotation, item: CaptionObject) -> CocoGeometry:
    shape = shape_in_pixels(annotation, item)
    x1, y1, x2, y2 = bounds_xyxy(shape)
    flat = [value for point in points_of(shape) for value in point]
    geometry: CocoGeometry = {
        "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        "iscrowd": 0,
        "desc": item.desc,
        "attributes": {"desc": item.desc},
        "area": 0.0,
        "segmentation": [],
    }
    if is_line(item):
        geometry["polyline"] = flat
        return geometry
    geometry["area"] = round(float(region(shape).area), 2)
    geometry["segmentation"] = [flat] if isinstance(shape, Polygon) else []
    return geometry
