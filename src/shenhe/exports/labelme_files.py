"""Files of LabelMe and its descendants: a folder of photos, and one JSON file beside each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, TypedDict

from shenhe.exports.pixels import add_photo
from shenhe.exports.settings import ExportSettings
from shenhe.values import Annotation, CaptionObject

ShapeType = Literal["rectangle", "polygon", "linestrip"]


class LabelMeShape(TypedDict):
    """The fields of a shape that all of these tools have."""

    label: str
    points: list[list[float]]
    group_id: None
    description: str
    shape_type: ShapeType
    flags: dict[str, bool]


class FileHead(TypedDict):
    """The fields at the beginning of a file that all of these tools have."""

    version: str
    flags: dict[str, bool]


ToShape = Callable[[Annotation, CaptionObject], LabelMeShape]
"""From an object of a photo to a tool's shape."""


def write_files(
    annotations: Iterable[Annotation],
    output: Path,
    settings: ExportSettings,
    losses: Counter[str],
    head: FileHead,
    to_shape: ToShape,
) -> None:
    """Write a folder of photos and JSON files; each file begins with `head`."""
    output.mkdir()
    for annotation in annotations:
        photo = add_photo(annotation.image, output, losses, copy=settings.copy_photos)
        content = {
            **head,
            "shapes": [to_shape(annotation, item) for item in annotation.objects],
            "imagePath": photo.name,
            "imageData": None,
            "imageHeight": annotation.size_wh.height,
            "imageWidth": annotation.size_wh.width,
        }
        text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
        photo.with_suffix(".json").write_text(text, encoding="utf-8")
