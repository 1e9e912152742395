"""Grouped JSON: {"图片_1": {"object_1": {"bbox_2d": [...], "desc": "..."}}}. Strict both ways."""

from __future__ import annotations

import json
from typing import Any

from shenhe.errors import FormatError, GeometryError
from shenhe.geometry import FRAME, Line, from_numbers, kind_of, to_numbers
from shenhe.records import Caption, CaptionObject, photo_key

GEOMETRIES = ("bbox_2d", "quad", "line")


def render(value: Caption) -> str:
    """Write a caption as models must: integers 0-1000, keys in sequence, one line."""
    grouped = {
        photo_key(index): {
            f"object_{number}": _fields(thing) for number, thing in enumerate(objects, 1)
        }
        for index, objects in enumerate(value.photos)
    }
    return json.dumps(grouped, ensure_ascii=False)


def parse(text: str, photo_count: int | None = None) -> Caption:
    """Read grouped JSON, naming the object and the key of whatever is wrong.

    Shape: one tuple of objects a photo; zero objects is valid.  Units: 0-1000.
    Raises: FormatError with code empty, not_json, duplicate_key, structure, key_sequence,
    geometry_count, geometry, range, line_points, desc_empty or photo_count.
    """
    if not text.strip():
        raise FormatError("empty", "the caption is empty")
    try:
        grouped = json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        raise FormatError("not_json", f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise FormatError("not_json", "not grouped JSON: nested too deeply") from error
    photos = []
    for index, (key, objects) in enumerate(_members(grouped, "the caption").items()):
        if key != photo_key(index):
            raise FormatError("key_sequence", f"expected {photo_key(index)}, got {key!r}")
        photos.append(tuple(_object(key, n, item) for n, item in _numbered(key, objects)))
    if photo_count is not None and len(photos) != photo_count:
        raise FormatError("photo_count", f"expected {photo_count} photos, got {len(photos)}")
    return Caption(tuple(photos))


def _fields(thing: CaptionObject) -> dict[str, Any]:
    numbers = [round(number) for number in to_numbers(thing.shape)]
    fields: dict[str, Any] = {kind_of(thing.shape): numbers}
    if isinstance(thing.shape, Line):
        fields["line_points"] = len(thing.shape.points)
    return fields | {"desc": thing.desc}


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise FormatError("duplicate_key", f"the key {twice!r} stands twice in one object")
    return members


def _members(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FormatError("structure", f"{where} must be a JSON object")
    return value


def _numbered(photo: str, objects: Any) -> list[tuple[str, Any]]:
    items = list(_members(objects, photo).items())
    for number, (key, _) in enumerate(items, 1):
        if key != f"object_{number}":
            raise FormatError("key_sequence", f"{photo}: expected object_{number}, got {key!r}")
    return items


def _object(photo: str, key: str, item: Any) -> CaptionObject:
    where = f"{photo}/{key}"
    fields = _members(item, where)
    kinds = [kind for kind in GEOMETRIES if kind in fields]
    if len(kinds) != 1:
        raise FormatError("geometry_count", f"{where} needs one of {GEOMETRIES}, has {kinds}")
    numbers = fields[kinds[0]]
    if not isinstance(numbers, list) or not all(type(n) is int for n in numbers):
        raise FormatError("geometry", f"{where}/{kinds[0]} must be a list of integers")
    if any(not 0 <= n <= FRAME for n in numbers):
        raise FormatError(
            "range",
            f"{where}/{kinds[0]} has a number outside 0-1000: was the model trained on pixels?",
        )
    try:
        shape = from_numbers(kinds[0], numbers)
    except GeometryError as error:
        raise FormatError("geometry", f"{where}: {error}") from error
    expected = {kinds[0], "desc"} | ({"line_points"} if isinstance(shape, Line) else set())
    if odd := fields.keys() ^ expected:
        raise FormatError("structure", f"{where}: keys missing or unknown: {sorted(odd)}")
    if isinstance(shape, Line) and fields["line_points"] != len(shape.points):
        raise FormatError(
            "line_points", f"{where}: line_points {fields['line_points']} != {len(shape.points)}"
        )
    desc = fields["desc"]
    if not isinstance(desc, str) or not desc.strip():
        raise FormatError("desc_empty", f"{where}/desc must be a non-empty string")
    return CaptionObject(shape, desc)
