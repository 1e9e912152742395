"""COCO: a file of annotations, or a folder with annotations/ and images/.

Photos are shown as they are stored or upright, which the noted size tells; an annotation with a
`polyline`, as our export writes it, is a line.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import Final

from shenhe.errors import FormatError, IntakeError
from shenhe.geometry import Shape
from shenhe.imports.fields import (
    Fields,
    as_list,
    as_number,
    as_object,
    as_size,
    as_text,
    pairs_of,
    read_json,
)
from shenhe.imports.labelled import Entries, LabelledPhoto, box, desc_of, line, polygon
from shenhe.values import CaptionObject

ANNOTATIONS: Final = "annotations"


def entries(source: Path, lost: Counter[str]) -> Entries:
    """Yield each photo's name, and a reader of its labels that may raise.

    Raises: IntakeError for a file that cannot be read.
    """
    for path in _files(source):
        content = read_json(path)
        if not is_label_file(content):
            raise IntakeError(f"{path}: no COCO file: it has no images and annotations")
        yield from _photos(path, as_object(content, "the file"), lost)


def is_label_file(content: object) -> bool:
    """Whether JSON is a COCO file."""
    return isinstance(content, dict) and "images" in content and "annotations" in content


def _files(source: Path) -> list[Path]:
    """List the files of a source.

    Raises: IntakeError for a folder without one.
    """
    if source.is_file():
        return [source]
    inner = source / ANNOTATIONS
    paths = sorted((inner if inner.is_dir() else source).glob("*.json"))
    if not paths:
        raise IntakeError(f"{source}: no COCO folder: no annotations/*.json")
    return paths


def _photos(path: Path, content: Fields, lost: Counter[str]) -> Entries:
    try:
        labels = {
            _key(entry.get("id")): as_text(entry.get("name"), "the name of a category")
            for entry in _objects(content.get("categories", []), "categories")
        }
        by_image: dict[str, list[Fields]] = defaultdict(list)
        for entry in _objects(content["annotations"], "annotations"):
            by_image[_key(entry.get("image_id"))].append(entry)
        images = as_list(content["images"], "images")
    except FormatError as error:
        raise IntakeError(f"{path}: {error}") from error
    keys = [_key(image.get("id")) if isinstance(image, dict) else "" for image in images]
    uses = Counter(keys)
    for number, (key, image) in enumerate(zip(keys, images, strict=True), 1):
        found = by_image.get(key, []) if uses[key] > 1 else by_image.pop(key, [])
        read = partial(_photo, image, found, labels, lost)
        yield f"{path}: image {number}", partial(_refuse_repeated, key) if uses[key] > 1 else read
    for key in uses:
        by_image.pop(key, None)
    lost["annotations of no image in the file: left out"] += sum(map(len, by_image.values()))


def _refuse_repeated(key: str) -> LabelledPhoto:
    raise FormatError("structure", f"its id {key[:40]} stands twice: whose annotations are whose?")


def _objects(value: object, name: str) -> list[Fields]:
    return [as_object(entry, f"one of {name}") for entry in as_list(value, name)]


def _key(value: object) -> str:
    """Give an id as a text: tools write 1, 1.0 and "1"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _photo(
    image: object, found: list[Fields], labels: dict[str, str], lost: Counter[str]
) -> LabelledPhoto:
    fields = as_object(image, "the image")
    objects = []
    for number, entry in enumerate(found, 1):
        label = labels.get(_key(entry.get("category_id")))
        if label is None:
            raise FormatError("label", f"annotation {number} has a category that is not listed")
        desc = desc_of(label, _description(entry), lost)
        objects.append(CaptionObject(_shape(entry, number, lost), desc))
    name = as_text(fields.get("file_name"), "file_name")
    size = as_size(fields.get("width"), fields.get("height"))
    return LabelledPhoto([name], size, objects)


def _description(entry: Fields) -> str:
    attributes = entry.get("attributes")
    inner = attributes.get("desc") if isinstance(attributes, dict) else None
    for value in (entry.get("desc"), inner):
        if isinstance(value, str) and value.strip():
            return value
    return ""


def _shape(entry: Fields, number: int, lost: Counter[str]) -> Shape:
    """Read the shape of an annotation: its line, its polygon, or its box."""
    name = f"annotation {number}"
    if "polyline" in entry:
        return line(pairs_of(entry["polyline"], name))
    parts = entry.get("segmentation")
    if isinstance(parts, list) and len(parts) == 1:
        return polygon(pairs_of(parts[0], name), lost)
    several = isinstance(parts, list) and bool(parts)
    lost["outlines of several parts: kept as their boxes"] += several
    lost["masks: kept as their boxes"] += isinstance(parts, dict)
    numbers = [as_number(value, name) for value in as_list(entry.get("bbox"), f"bbox of {name}")]
    if len(numbers) != 4 or min(numbers[2:]) <= 0:
        raise FormatError("geometry", f"{name}: bbox {numbers[:8]} is no x, y, width, height")
    x, y, width, height = numbers
    return box(x, y, x + width, y + height)
