"""Label Studio: a folder with tasks.json, to import as predictions, and config.xml, its labels."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from shenhe.exports.labels import Labels
from shenhe.exports.pixels import shape_in_pixels
from shenhe.geometry import Box, Line, Shape, Size
from shenhe.locations import Location
from shenhe.values import Annotation, CaptionObject

LOCAL_FILES = "/data/local-files/?d="
"""How Label Studio names a file below its document root, here the root of the file system."""


def write(
    annotations: Iterable[Annotation], output: Path, labels: Labels, losses: Counter[str]
) -> None:
    """Write the folder; a text area of each region holds its whole desc."""
    output.mkdir()
    names: dict[str, None] = {}
    tasks = []
    for annotation in annotations:
        results: list[dict[str, Any]] = []
        for number, thing in enumerate(annotation.objects, 1):
            label = labels(thing.desc)
            names[label] = None
            results += _regions(annotation, f"object_{number}", thing, label)
        prediction = {"model_version": "shenhe", "result": results}
        tasks.append({"data": {"image": _url(annotation.image)}, "predictions": [prediction]})
    text = json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"
    (output / "tasks.json").write_text(text, encoding="utf-8")
    (output / "config.xml").write_text(_config(list(names)), encoding="utf-8")


def _url(photo: Location) -> str:
    """Name a photo as Label Studio does, which knows where stores are by itself."""
    if isinstance(photo, Path):
        return LOCAL_FILES + quote(os.fsencode(photo.absolute()).lstrip(b"/"))
    return str(photo)


def _regions(
    annotation: Annotation, key: str, thing: CaptionObject, label: str
) -> list[dict[str, Any]]:
    kind, value = _value(shape_in_pixels(annotation, thing), annotation.size_wh)
    common = {
        "id": key,
        "to_name": "image",
        "original_width": annotation.size_wh.width,
        "original_height": annotation.size_wh.height,
        "image_rotation": 0,
    }
    region = common | {"from_name": kind, "type": kind, "value": value | {kind: [label]}}
    words = common | {
        "from_name": "desc",
        "type": "textarea",
        "value": value | {"text": [thing.desc]},
    }
    return [region, words]


def _value(shape: Shape, size_wh: Size) -> tuple[str, dict[str, Any]]:
    """Give the kind of label and the region. Units: per cent of the upright photo's sides."""
    points = [
        (round(100 * x / size_wh.width, 4), round(100 * y / size_wh.height, 4))
        for x, y in shape.points
    ]
    if isinstance(shape, Box):
        (x1, y1), _, (x2, y2), _ = points
        sides = {"width": round(x2 - x1, 4), "height": round(y2 - y1, 4)}
        return "rectanglelabels", {"x": x1, "y": y1, **sides, "rotation": 0}
    if isinstance(shape, Line):
        vertices = [
            {"id": str(at), "x": x, "y": y, "isBezier": False}
            | ({"prevPointId": str(at - 1)} if at else {})
            for at, (x, y) in enumerate(points)
        ]
        return "vectorlabels", {"vertices": vertices, "closed": False}
    return "polygonlabels", {"points": [list(point) for point in points], "closed": True}


def _config(names: list[str]) -> str:
    """Name every label for every kind of region."""
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in names)
    tags = ("RectangleLabels", "PolygonLabels", "VectorLabels")
    controls = "".join(
        f'  <{tag} name="{tag.lower()}" toName="image">\n{labels}  </{tag}>\n' for tag in tags
    )
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f"{controls}"
        '  <TextArea name="desc" toName="image" perRegion="true" editable="true"/>\n</View>\n'
    )
