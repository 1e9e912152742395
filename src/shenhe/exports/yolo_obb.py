"""YOLO-OBB: images/ and labels/ side by side, and data.yaml; a class and four corners a line."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from shenhe.errors import spelled
from shenhe.exports.labels import whole_desc
from shenhe.exports.pixels import add_photo, is_line, shape_in_pixels
from shenhe.exports.settings import ExportSettings
from shenhe.geometry import Point, Polygon, Shape, rectangle_around
from shenhe.values import Annotation

LINES = "lines: YOLO-OBB has none; left out"
POLYGONS = "polygons of other than four corners: as the smallest rotated rectangle around them"


def write(
    annotations: Iterable[Annotation], output: Path, settings: ExportSettings, losses: Counter[str]
) -> None:
    """Write the folder. Units: corners are shares of the upright photo's sides, 0 to 1."""
    images_folder, labels_folder = output / "images" / "train", output / "labels" / "train"
    images_folder.mkdir(parents=True)
    labels_folder.mkdir(parents=True)
    classes: dict[str, int] = {}
    for annotation in annotations:
        photo = add_photo(annotation.image, images_folder, losses, copy=settings.copy_photos)
        lines = []
        for item in annotation.objects:
            losses[_describe_desc_loss()] += settings.labels is not whole_desc
            if is_line(item):
                losses[LINES] += 1
                continue
            number = classes.setdefault(settings.labels(item.desc), len(classes))
            width, height = annotation.size_wh
            corners = (
                f"{x / width:.6f} {y / height:.6f}"
                for x, y in _four_corners(shape_in_pixels(annotation, item), losses)
            )
            lines.append(f"{number} {' '.join(corners)}\n")
        (labels_folder / f"{photo.stem}.txt").write_text("".join(lines), encoding="utf-8")
    # Every JSON string is a YAML string, whatever a desc holds.
    names = "".join(
        f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for name, number in classes.items()
    )
    header = "train: images/train\nval: images/train\n"
    named = f"names:\n{names}" if names else "names: {}\n"
    (output / "data.yaml").write_text(header + named, encoding="utf-8")


def _four_corners(shape: Shape, losses: Counter[str]) -> tuple[Point, ...]:
    """Return the corners of an area, or of the rectangle around a polygon. Units: pixels."""
    if not isinstance(shape, Polygon) or len(shape.points) == 4:
        return shape.points
    losses[POLYGONS] += 1
    return rectangle_around(shape).points


def _describe_desc_loss() -> str:
    remedy = f"{spelled('labels', 'desc')} makes a class of each"
    return f"descs: YOLO-OBB holds no more than the label ({remedy})"
