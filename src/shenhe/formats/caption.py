"""Grouped JSON: {"图片_1": {"object_1": {"bbox_2d": [...], "desc": "..."}}}. Strict both ways.

`caption_recovery` reads what models write instead; this module repairs nothing.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, TypeGuard

from shenhe.errors import FormatError, GeometryError, spelled
from shenhe.geometry import (
    COUNT_KEYS,
    FRAME,
    GEOMETRIES,
    Box,
    Polygon,
    Size,
    crosses_itself,
    from_numbers,
    is_clockwise_from_top_left,
    round_coordinates,
    to_fields,
)
from shenhe.values import Caption, CaptionObject, photo_key

Coordinates = Literal["norm1000", "norm100", "pixel"]
"""What a model's coordinates are relative to; `pixel` is the photo as the model saw it."""
Grouped = dict[str, dict[str, dict[str, object]]]
"""Grouped JSON in memory: the fields of objects by the object's key, by the photo's key."""
NORM1000 = Size(FRAME, FRAME)
NORM100 = Size(100, 100)
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character: UTF-8 cannot encode it."""
PHOTO_KEY = re.compile(r"图片_([1-9][0-9]{0,3})")
OBJECT_KEY = re.compile(r"object_([0-9]{1,6})")


def is_key(key: str) -> bool:
    """Whether a key is that of a photo or of an object."""
    return bool(PHOTO_KEY.fullmatch(key) or OBJECT_KEY.fullmatch(key))


def frames_of(coordinates: Coordinates, resized_wh: Sequence[Size]) -> tuple[Size, ...]:
    """Return the frame of each photo's coordinates. Units: those of the coordinates.

    >>> frames_of("norm100", [Size(640, 480)])
    (Size(width=100, height=100),)
    """
    if coordinates == "pixel":
        return tuple(resized_wh)
    return (NORM1000 if coordinates == "norm1000" else NORM100,) * len(resized_wh)


def frame_at(frames: Sequence[Size] | None, index: int) -> Size:
    """Return the frame of the photo at an index, 0-1000 by default and beyond the last frame."""
    return frames[index] if frames is not None and index < len(frames) else NORM1000


def render(value: Caption) -> str:
    """Write a caption as models must: integers 0-1000, keys in sequence, one line.

    >>> render(Caption(((CaptionObject(Box(1, 2, 3, 4), "标签"),),)))
    '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}}'
    """
    return json.dumps(to_grouped(value), ensure_ascii=False)


def to_grouped(value: Caption) -> Grouped:
    """Turn a caption into grouped JSON, coordinates rounded."""
    return {
        photo_key(index): {
            f"object_{number}": _to_fields(item) for number, item in enumerate(objects, 1)
        }
        for index, objects in enumerate(value.photos)
    }


def parse(
    text: str, photo_count: int | None = None, frames: Sequence[Size] | None = None
) -> Caption:
    """Read grouped JSON; errors name the object and the key that are wrong.

    Shape: one tuple of objects a photo; zero objects is valid.  Units: `frames` in, one a photo,
    0-1000 by default; 0-1000 out.
    Raises: FormatError with code empty (also for `{}`, which names no photo), not_json,
    duplicate_key, structure, key_sequence, geometry_count, geometry, quad_crossing, quad_order,
    range, line_points, poly_points, desc_empty, surrogate or photo_count.

        >>> parse('{"图片_1": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}}}').photos
        ((CaptionObject(shape=Box(x1=1, y1=2, x2=3, y2=4), desc='标签'),),)
    """
    if not text.strip():
        raise FormatError("empty", "the caption is empty")
    try:
        grouped = json.loads(text, object_pairs_hook=_refuse_duplicates)
    except json.JSONDecodeError as error:
        raise FormatError("not_json", f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise FormatError("not_json", "not grouped JSON: nested too deeply") from error
    except ValueError as error:  # Python limits the digits of an integer
        raise FormatError("not_json", f"not grouped JSON: {error}") from error
    return from_grouped(grouped, photo_count, frames)


def from_grouped(
    grouped: object, photo_count: int | None = None, frames: Sequence[Size] | None = None
) -> Caption:
    """Read grouped JSON in memory; shape and units as in `parse`.

    Raises: FormatError, see `parse`.
    """
    if grouped == {}:
        raise FormatError(
            "empty", "the caption names no photo: a photo without objects is 图片_1: {}"
        )
    photos = []
    for index, (key, objects) in enumerate(_members(grouped, "the caption").items()):
        if key != photo_key(index):
            raise FormatError("key_sequence", f"expected {photo_key(index)}, got {key!r}")
        frame = frame_at(frames, index)
        photos.append(
            tuple(
                read_object(f"{key}/{name}", _members(item, f"{key}/{name}"), frame)
                for name, item in _numbered_members(key, objects)
            )
        )
    if photo_count is not None and len(photos) != photo_count:
        raise FormatError("photo_count", f"expected {photo_count} photos, got {len(photos)}")
    return Caption(tuple(photos))


def read_object(path: str, fields: Mapping[str, object], frame: Size = NORM1000) -> CaptionObject:
    """Read the fields of one object; `path` names it in errors.

    Units: `frame` in, 0-1000 out.
    Raises: FormatError, see `parse`.
    """
    kind = _geometry_key(path, fields)
    numbers = _read_coordinates(f"{path}/{kind}", fields[kind], frame)
    try:
        shape = from_numbers(kind, numbers)
    except GeometryError as error:
        raise FormatError("geometry", f"{path}: {error}") from error
    if isinstance(shape, Polygon):
        _refuse_bad_corners(f"{path}/{kind}", shape, numbers)
    count_key = COUNT_KEYS.get(kind)
    expected = {kind, "desc"} | ({count_key} if count_key else set())
    if missing := sorted(expected - fields.keys()):
        raise FormatError("structure", f"{path} has no {' and no '.join(missing)}")
    if unknown := sorted(fields.keys() - expected):
        raise FormatError("structure", f"{path}: unknown keys: {unknown}")
    if count_key and fields[count_key] != len(shape.points):
        raise FormatError(
            count_key, f"{path}: {count_key} {fields[count_key]} != {len(shape.points)}"
        )
    desc = fields["desc"]
    if not isinstance(desc, str) or not desc.strip():
        raise FormatError("desc_empty", f"{path}/desc must be a non-empty string")
    if SURROGATE.search(desc):
        raise FormatError("surrogate", f"{path}/desc holds half a character: {desc[:40]!a}")
    return CaptionObject(shape, desc)


def refuse_unit_boxes(value: Caption, frames: Sequence[Size] | None = None) -> None:
    """Refuse a caption whose boxes hold no number above 1: its coordinates were shares.

    Units: `frames` as in `parse`, the caption in 0-1000.
    Raises: FormatError with code range.
    """
    corners = [
        (item.shape.x2, item.shape.y2, frame_at(frames, index))
        if isinstance(item.shape, Box)
        else (FRAME, FRAME, NORM1000)
        for index, objects in enumerate(value.photos)
        for item in objects
    ]
    if corners and all(
        x <= round(FRAME / frame.width) and y <= round(FRAME / frame.height)
        for x, y, frame in corners
    ):
        raise FormatError("range", f"all coordinates are 0 or 1; {_coordinates_hint()}")


def refuse_fractions(path: str, numbers: Sequence[object]) -> None:
    """Refuse coordinates that are shares (0-1, with some tolerance); rounding would lose them.

    Raises: FormatError with code range.
    """
    has_fraction = any(isinstance(n, float) and not n.is_integer() for n in numbers)
    if has_fraction and all(_is_number(n) and -1 < n < 2 for n in numbers):
        raise FormatError(
            "range", f"{path}: all of {numbers[:8]} are from 0 to 1; {_coordinates_hint()}"
        )


def _is_number(value: object) -> TypeGuard[int | float]:
    return type(value) in (int, float)


def _geometry_key(path: str, fields: Mapping[str, object]) -> str:
    kinds = [kind for kind in GEOMETRIES if kind in fields]
    if not kinds:
        raise FormatError("geometry_count", f"{path} has no geometry, needs one of {GEOMETRIES}")
    if len(kinds) > 1:
        raise FormatError("geometry_count", f"{path} needs one of {GEOMETRIES}, has {kinds}")
    return kinds[0]


def _read_coordinates(path: str, numbers: object, frame: Size) -> list[int]:
    """Check coordinates. Units: `frame` in, 0-1000 out."""
    if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
        if isinstance(numbers, list):
            refuse_fractions(path, numbers)
        raise FormatError("geometry", f"{path} must be a list of integers")
    for index, number in enumerate(numbers):
        limit = frame[index % 2]
        if not 0 <= number <= limit:
            alternative = "pixel" if frame in (NORM1000, NORM100) else "norm1000"
            raise FormatError(
                "range",
                f"{path}: {number} is outside 0-{limit}; if the model was trained on other"
                f" coordinates, say so: {spelled('coordinates', alternative)}",
            )
    return [round(number * FRAME / frame[index % 2]) for index, number in enumerate(numbers)]


def _refuse_bad_corners(path: str, polygon: Polygon, numbers: list[int]) -> None:
    if crosses_itself(polygon):
        raise FormatError("quad_crossing", f"{path} crosses itself or has no area: {numbers}")
    if not is_clockwise_from_top_left(polygon):
        raise FormatError(
            "quad_order", f"{path} must go clockwise from its top-left corner: {numbers}"
        )


def _to_fields(item: CaptionObject) -> dict[str, object]:
    return to_fields(round_coordinates(item.shape)) | {"desc": item.desc}


def _refuse_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        duplicate = next(key for key, count in counts.items() if count > 1)
        raise FormatError("duplicate_key", f"the key {duplicate!r} stands twice in one object")
    return members


def _members(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise FormatError("structure", f"{path} must be a JSON object")
    return value


def _numbered_members(photo: str, objects: object) -> list[tuple[str, object]]:
    items = list(_members(objects, photo).items())
    for number, (key, _) in enumerate(items, 1):
        if key != f"object_{number}":
            raise FormatError("key_sequence", f"{photo}: expected object_{number}, got {key!r}")
    return items


def _coordinates_hint() -> str:
    return (
        f"say what the model was trained on: {spelled('coordinates', 'norm1000')}, norm100 or pixel"
    )
