"""Label Studio: a folder with tasks.json, to import as predictions, config.xml and the photos."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from shenhe.exports.pixels import add_photo, shape_in_pixels
from shenhe.exports.settings import ExportSettings
from shenhe.geometry import Box, Line, Shape, Size
from shenhe.locations import Location
from shenhe.values import Annotation, CaptionObject

LOCAL_FILES = "/data/local-files/?d="
"""Label Studio's URL of a file below its document root, which is to be the folder of the export."""
PHOTOS = "images"


class Result(TypedDict):
    """One result of a prediction: a region with its label, or the text area of a region.

    Units: `value` in per cent of the upright photo's sides, `original_*` in pixels.
    """

    id: str
    to_name: str
    original_width: int
    original_height: int
    image_rotation: int
    from_name: str
    type: str
    value: dict[str, object]


class Region(NamedTuple):
    """A region: the kind of its labels, and its geometry in Label Studio's keys."""

    kind: str
    geometry: Mapping[str, object]


def write(
    annotations: Iterable[Annotation], output: Path, settings: ExportSettings, losses: Counter[str]
) -> None:
    """Write the folder; a text area of each region holds the whole desc."""
    (output / PHOTOS).mkdir(parents=True)
    names: dict[str, None] = {}
    tasks = []
    for annotation in annotations:
        results: list[Result] = []
        for number, item in enumerate(annotation.objects, 1):
            label = settings.labels(item.desc)
            names[label] = None
            results += _results(annotation, f"object_{number}", item, label)
        prediction = {"model_version": "shenhe", "result": results}
        url = _url(annotation.image, output, settings, losses)
        # A task without objects tells the size of its photo nowhere else.
        data = {"image": url, **annotation.size_wh._asdict()}
        tasks.append({"data": data, "predictions": [prediction]})
    text = json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"
    (output / "tasks.json").write_text(text, encoding="utf-8")
    (output / "config.xml").write_text(_config(list(names)), encoding="utf-8")


def _url(photo: Location, output: Path, settings: ExportSettings, losses: Counter[str]) -> str:
    """Return Label Studio's URL of a photo; it reads the URLs of stores by itself."""
    if isinstance(photo, Path):
        added = add_photo(photo, output / PHOTOS, losses, copy=settings.copy_photos)
        return LOCAL_FILES + quote(f"{PHOTOS}/{added.name}")
    return str(photo)


def _results(annotation: Annotation, key: str, item: CaptionObject, label: str) -> list[Result]:
    """Return the region of an object, and the text area that holds its desc."""
    kind, geometry = _region(shape_in_pixels(annotation, item), annotation.size_wh)

    def result(name: str, kind: str, value: dict[str, object]) -> Result:
        return {
            "id": key,
            "to_name": "image",
            "original_width": annotation.size_wh.width,
            "original_height": annotation.size_wh.height,
            "image_rotation": 0,
            "from_name": name,
            "type": kind,
            "value": {**geometry, **value},
        }

    return [
        result(kind, kind, {kind: [label]}),
        result("desc", "textarea", {"text": [item.desc]}),
    ]


def _region(shape: Shape, size_wh: Size) -> Region:
    """Convert a shape. Units: pixels in, per cent of the upright photo's sides out."""
    points = [
        (round(100 * x / size_wh.width, 4), round(100 * y / size_wh.height, 4))
        for x, y in shape.points
    ]
    if isinstance(shape, Box):
        (x1, y1), _, (x2, y2), _ = points
        sides = {"width": round(x2 - x1, 4), "height": round(y2 - y1, 4)}
        return Region("rectanglelabels", {"x": x1, "y": y1, **sides, "rotation": 0})
    if isinstance(shape, Line):
        vertices = [
            {"id": str(index), "x": x, "y": y, "isBezier": False}
            | ({"prevPointId": str(index - 1)} if index else {})
            for index, (x, y) in enumerate(points)
        ]
        return Region("vectorlabels", {"vertices": vertices, "closed": False})
    return Region("polygonlabels", {"points": [list(point) for point in points], "closed": True})


def _config(names: list[str]) -> str:
    """Write the labelling configuration: every label for every kind of region."""
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
