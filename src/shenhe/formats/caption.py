"""Grouped JSON: {"图片_1": {"object_1": {"bbox_2d": [...], "desc": "..."}}}. Strict both ways.

`caption_recovery` reads what models write beside it; here nothing is forgiven.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from shenhe.errors import FormatError, GeometryError
from shenhe.geometry import (
    FRAME,
    Box,
    Line,
    Quad,
    Size,
    crosses_itself,
    from_numbers,
    is_clockwise_from_top_left,
    kind_of,
    to_numbers,
)
from shenhe.values import Caption, CaptionObject, photo_key

GEOMETRIES = ("bbox_2d", "quad", "line")
Coordinates = Literal["norm1000", "norm100", "pixel"]
"""What the numbers of a training are relative to; `pixel` is the photo as the model saw it."""
NORM1000 = Size(FRAME, FRAME)
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character: no file can hold it."""
PHOTO_KEY = re.compile(r"图片_([1-9][0-9]{0,3})")
OBJECT_KEY = re.compile(r"object_([0-9]{1,6})")
_OTHER_FRAMES = "say what the model was trained on: --coordinates norm1000, norm100 or pixel"


def is_key(key: str) -> bool:
    """Whether a key is that of a photo or of an object."""
    return bool(PHOTO_KEY.fullmatch(key) or OBJECT_KEY.fullmatch(key))


def frames_of(coordinates: Coordinates, resized_wh: Sequence[Size]) -> tuple[Size, ...]:
    """Give the frame that the numbers of each photo lie in. Units: of those numbers."""
    if coordinates == "pixel":
        return tuple(resized_wh)
    side = FRAME if coordinates == "norm1000" else 100
    return (Size(side, side),) * len(resized_wh)


def render(value: Caption) -> str:
    """Write a caption as models must: integers 0-1000, keys in sequence, one line."""
    return json.dumps(to_grouped(value), ensure_ascii=False)


def to_grouped(value: Caption) -> dict[str, dict[str, dict[str, Any]]]:
    """Turn a caption into the members of grouped JSON, coordinates rounded."""
    return {
        photo_key(index): {
            f"object_{number}": _fields(thing) for number, thing in enumerate(objects, 1)
        }
        for index, objects in enumerate(value.photos)
    }


def parse(
    text: str, photo_count: int | None = None, frames: Sequence[Size] | None = None
) -> Caption:
    """Read grouped JSON, naming the object and the key of whatever is wrong.

    Shape: one tuple of objects a photo; zero objects is valid.  Units: `frames` in, one a photo,
    0-1000 by default; 0-1000 out.
    Raises: FormatError with code empty (also for `{}`, which names no photo), not_json,
    duplicate_key, structure, key_sequence, geometry_count, geometry, quad_crossing, quad_order,
    range, line_points, desc_empty, surrogate or photo_count.
    """
    if not text.strip():
        raise FormatError("empty", "the caption is empty")
    try:
        grouped = json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        raise FormatError("not_json", f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise FormatError("not_json", "not grouped JSON: nested too deeply") from error
    except ValueError as error:  # Python's own limit on the digits of a number
        raise FormatError("not_json", f"not grouped JSON: {error}") from error
    return from_grouped(grouped, photo_count, frames)


def from_grouped(
    grouped: Any, photo_count: int | None = None, frames: Sequence[Size] | None = None
) -> Caption:
    """Read the members of grouped JSON; see `parse`."""
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
                for name, item in _numbered(key, objects)
            )
        )
    if photo_count is not None and len(photos) != photo_count:
        raise FormatError("photo_count", f"expected {photo_count} photos, got {len(photos)}")
    return Caption(tuple(photos))


def frame_at(frames: Sequence[Size] | None, index: int) -> Size:
    """Give the frame of the photo at an index; photos that nobody asked about have no own."""
    return frames[index] if frames is not None and index < len(frames) else NORM1000


def read_object(where: str, fields: dict[str, Any], frame: Size = NORM1000) -> CaptionObject:
    """Read the fields of one object; `where` names it in errors.

    Raises: FormatError, see `parse`.
    """
    kinds = [kind for kind in GEOMETRIES if kind in fields]
    if not kinds:
        raise FormatError("geometry_count", f"{where} has no geometry, needs one of {GEOMETRIES}")
    if len(kinds) > 1:
        raise FormatError("geometry_count", f"{where} needs one of {GEOMETRIES}, has {kinds}")
    numbers = fields[kinds[0]]
    if not isinstance(numbers, list) or not all(type(n) is int for n in numbers):
        if isinstance(numbers, list):
            refuse_fractions(f"{where}/{kinds[0]}", numbers)
        raise FormatError("geometry", f"{where}/{kinds[0]} must be a list of integers")
    _refuse_out_of_range(f"{where}/{kinds[0]}", numbers, frame)
    numbers = [round(n * FRAME / frame[at % 2]) for at, n in enumerate(numbers)]
    try:
        shape = from_numbers(kinds[0], numbers)
    except GeometryError as error:
        raise FormatError("geometry", f"{where}: {error}") from error
    if isinstance(shape, Quad):
        _refuse_bad_corners(f"{where}/quad", shape, numbers)
    expected = {kinds[0], "desc"} | ({"line_points"} if isinstance(shape, Line) else set())
    if missing := sorted(expected - fields.keys()):
        raise FormatError("structure", f"{where} has no {' and no '.join(missing)}")
    if unknown := sorted(fields.keys() - expected):
        raise FormatError("structure", f"{where}: unknown keys: {unknown}")
    if isinstance(shape, Line) and fields["line_points"] != len(shape.points):
        raise FormatError(
            "line_points", f"{where}: line_points {fields['line_points']} != {len(shape.points)}"
        )
    desc = fields["desc"]
    if not isinstance(desc, str) or not desc.strip():
        raise FormatError("desc_empty", f"{where}/desc must be a non-empty string")
    if SURROGATE.search(desc):
        raise FormatError("surrogate", f"{where}/desc holds half a character: {desc[:40]!a}")
    return CaptionObject(shape, desc)


def refuse_unit_boxes(value: Caption, frames: Sequence[Size] | None = None) -> None:
    """Refuse a caption of boxes whose every number was 0 or 1: no photo holds only such.

    Units: `frames` as in `parse`, the caption in 0-1000.
    Raises: FormatError with code range.
    """
    corners = [
        (thing.shape.x2, thing.shape.y2, frame_at(frames, index))
        if isinstance(thing.shape, Box)
        else (FRAME, FRAME, NORM1000)
        for index, objects in enumerate(value.photos)
        for thing in objects
    ]
    if corners and all(
        x <= round(FRAME / frame.width) and y <= round(FRAME / frame.height)
        for x, y, frame in corners
    ):
        raise FormatError("range", f"all coordinates are 0 or 1; {_OTHER_FRAMES}")


def refuse_fractions(where: str, numbers: Sequence[Any]) -> None:
    """Refuse coordinates from 0 to 1, or a little beyond: rounded, a box of one thousandth.

    Raises: FormatError with code range.
    """
    if (
        any(type(n) is float and not n.is_integer() for n in numbers)
        and all(type(n) in (int, float) and -1 < n < 2 for n in numbers)
    ):  # fmt: skip
        raise FormatError(
            "range", f"{where}: all of {numbers[:8]} are from 0 to 1; {_OTHER_FRAMES}"
        )


def _refuse_bad_corners(where: str, quad: Quad, numbers: list[int]) -> None:
    if crosses_itself(quad):
        raise FormatError("quad_crossing", f"{where} crosses itself or has no area: {numbers}")
    if not is_clockwise_from_top_left(quad):
        raise FormatError(
            "quad_order", f"{where} must go clockwise from its top-left corner: {numbers}"
        )


def _refuse_out_of_range(where: str, numbers: list[int], frame: Size) -> None:
    for at, number in enumerate(numbers):
        if not 0 <= number <= frame[at % 2]:
            other = "pixel" if frame in (NORM1000, Size(100, 100)) else "norm1000"
            raise FormatError(
                "range",
                f"{where}: {number} is outside 0-{frame[at % 2]}; if the model was trained on other"
                f" coordinates, say so: --coordinates {other}",
            )


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
        twice = next(key for key, count in Counter(keys).items() if count > 1)
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
