"""Label Studio: its JSON export, or a folder with tasks.json.

It shows photos as browsers do, upright. The newest annotation of a task counts; where nobody has
annotated, its predictions do, and are counted.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from shenhe.errors import FormatError, IntakeError
from shenhe.geometry import Shape, Size
from shenhe.imports.fields import (
    Fields,
    as_list,
    as_number,
    as_object,
    as_size,
    as_text,
    read_json,
)
from shenhe.imports.labelled import Entries, LabelledPhoto, box, desc_of, line, polygon
from shenhe.imports.turning import rotated_box
from shenhe.values import CaptionObject

PER_CENT: Final = Size(100, 100)
TASKS: Final = "tasks.json"
_UPLOAD: Final = re.compile(r"^[0-9a-f]{8}-")
"""The beginning of the name that Label Studio gives an uploaded photo."""
_IMAGE_KEYS: Final = ("image", "img", "photo", "url", "ocr")


def entries(source: Path, lost: Counter[str]) -> Entries:
    """Yield each task's name, and a reader of it that may raise.

    Raises: IntakeError for a file that cannot be read.
    """
    path = source if source.is_file() else source / TASKS
    content = read_json(path)
    if not isinstance(content, list):
        raise IntakeError(f"{path}: no JSON export of Label Studio: no list of tasks")
    for number, task in enumerate(content, 1):
        yield f"{path}: task {number}", partial(_read, task, lost)


def is_label_file(content: object) -> bool:
    """Whether JSON is an export of Label Studio."""
    first = content[0] if isinstance(content, list) and content else None
    return isinstance(first, dict) and isinstance(first.get("data"), dict)


def _read(task: object, lost: Counter[str]) -> LabelledPhoto | None:
    fields = as_object(task, "the task")
    results = _results(fields, lost)
    if results is None:
        return None
    regions: dict[str, Fields] = {}
    size: Size | None = None
    for number, entry in enumerate(results, 1):
        result = as_object(entry, f"result {number}")
        if "value" not in result:
            lost["relations: left out"] += 1
            continue
        key = str(result.get("id") or f"result {number}")
        if result.get("image_rotation"):
            raise FormatError("rotated", "the photo was turned in the tool: turn the file instead")
        told = as_size(result.get("original_width"), result.get("original_height"))
        if size is not None and told not in (None, size):
            raise FormatError("size", "its results are of photos of several sizes")
        size = size or told
        value = as_object(result["value"], f"the value of result {number}")
        regions.setdefault(key, {}).update(value)
    objects = []
    for key, value in regions.items():
        item = _object(key, value, size, lost)
        objects += [item] if item else []
    units = None if size else PER_CENT
    data = as_object(fields.get("data"), "data")
    size = size or as_size(data.get("width"), data.get("height"))
    return LabelledPhoto(_names(data), size, objects, units)


def _results(task: Fields, lost: Counter[str]) -> list[object] | None:
    """Choose the results that count: of people, else of a model; None if there is neither."""
    annotations = [
        annotation
        for entry in as_list(task.get("annotations") or [], "annotations")
        if not (annotation := as_object(entry, "an annotation")).get("was_cancelled")
    ]
    lost["older annotations of a photo: the newest counts"] += max(0, len(annotations) - 1)
    if annotations:
        newest = max(annotations, key=lambda entry: str(entry.get("updated_at") or ""))
        return as_list(newest.get("result"), "a result")
    predictions = as_list(task.get("predictions") or [], "predictions")
    if not predictions:
        lost["photos that nobody has annotated: left out"] += 1
        return None
    lost["photos that nobody has annotated: what the model predicted counts"] += 1
    return as_list(as_object(predictions[-1], "a prediction").get("result"), "a result")


def _names(data: Fields) -> list[str]:
    """Give the names that the photo of a task may have.

    Raises: FormatError if the task names none.
    """
    texts = [data[key] for key in _IMAGE_KEYS if key in data] or list(data.values())
    url = next((text for text in texts if isinstance(text, str) and text), None)
    if url is None:
        raise FormatError("photo_name", "the task names no photo")
    try:
        address = urlsplit(url)
    except ValueError as error:
        raise FormatError("photo_name", f"{url!r:.60} names no photo") from error
    local = parse_qs(address.query).get("d")
    name = local[0] if local else unquote(address.path) or url
    upload = address.path.rpartition("/")[2]
    names = [name]
    if _UPLOAD.match(upload):
        names.append(_UPLOAD.sub("", unquote(upload)))
    return names


def _object(key: str, value: Fields, size: Size | None, lost: Counter[str]) -> CaptionObject | None:
    """Read a region; None for one that captions do not have."""
    if size is None and value.get("rotation"):
        raise FormatError("size", f"{key} is turned, and the size of the photo is not told")
    shape = _shape(key, value, size or PER_CENT, lost)
    if shape is None:
        kinds = [name for name in value if name.endswith("labels")] or list(value)
        lost[f"{kinds[0][:40]} without a box, polygon or line: left out"] += 1
        return None
    label = ""
    for name in [name for name in value if name.endswith("labels")]:
        texts = as_list(value[name], name)
        label = as_text(texts[0], name) if texts else label
        lost["further labels of an object: left out"] += max(0, len(texts) - 1)
    text = value.get("text") or ""
    if isinstance(text, list):
        text = "\n".join(as_text(part, "text") for part in text)
    return CaptionObject(shape, desc_of(label, as_text(text, "text"), lost))


def _shape(key: str, value: Fields, size: Size, lost: Counter[str]) -> Shape | None:
    """Read a shape. Units: per cent of the photo's sides in, pixels of `size` out."""

    def point(entry: object) -> tuple[float, float]:
        if isinstance(entry, dict):
            x, y = entry.get("x"), entry.get("y")
        else:
            pair = as_list(entry, f"a point of {key}")
            if len(pair) != 2:
                raise FormatError("geometry", f"a point of {key} has {len(pair)} numbers")
            x, y = pair
        return as_number(x, key) * size.width / 100, as_number(y, key) * size.height / 100

    if "vertices" in value:
        points = [point(as_object(entry, key)) for entry in as_list(value["vertices"], key)]
        return polygon(points, lost) if value.get("closed") else line(points)
    if "points" in value:
        return polygon([point(entry) for entry in as_list(value["points"], key)], lost)
    if "width" not in value or "height" not in value:
        return None
    x, y = point(value)
    width = as_number(value["width"], key) * size.width / 100
    height = as_number(value["height"], key) * size.height / 100
    if min(width, height) <= 0:
        raise FormatError("geometry", f"{key} has no area")
    angle = as_number(value.get("rotation") or 0, key)
    if not angle:
        return box(x, y, x + width, y + height)
    return polygon(rotated_box((x, y), (width, height), math.radians(angle), (x, y)), lost)
