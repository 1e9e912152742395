"""One object of a caption: its fields read strictly, and written. Coordinates of any frame.

`caption_object` reads what models write instead; this module repairs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeGuard

from shenhe.errors import FormatError, GeometryError, spelled
from shenhe.formats.text_formats import PolygonKey
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
from shenhe.values import Caption, CaptionObject

Coordinates = Literal["norm1000", "norm100", "pixel"]
"""What a model's coordinates are relative to; `pixel` is the photo as the model saw it."""
POLYGON_KEYS: dict[PolygonKey, tuple[str, ...]] = {
    "quad": ("quad",),
    "poly": ("poly",),
    "both": ("quad", "poly"),
}
"""The keys of polygons, by what a format says of them."""
NORM1000 = Size(FRAME, FRAME)
NORM100 = Size(100, 100)
SURROGATE = re.compile("[\ud800-\udfff]")
"""Half a character: UTF-8 cannot encode it."""


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


def read_object(
    path: str,
    fields: Mapping[str, object],
    frame: Size = NORM1000,
    polygons: PolygonKey = "both",
) -> CaptionObject:
    """Read the fields of one object; `path` names it in errors.

    Units: `frame` in, 0-1000 out.
    Raises: FormatError, see `parse`.
    """
    kind = _geometry_key(path, fields, polygons)
    numbers = _read_coordinates(f"{path}/{kind}", fields[kind], frame)
    try:
        shape = from_numbers(kind, numbers)
    except GeometryError as error:
        raise FormatError("geometry", f"{path}: {error}") from error
    if isinstance(shape, Polygon):
        _refuse_bad_corners(path, kind, shape, numbers)
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


def _geometry_key(path: str, fields: Mapping[str, object], polygons: PolygonKey) -> str:
    kinds = [kind for kind in GEOMETRIES if kind in fields]
    if not kinds:
        raise FormatError("geometry_count", f"{path} has no geometry, needs one of {GEOMETRIES}")
    if len(kinds) > 1:
        raise FormatError("geometry_count", f"{path} needs one of {GEOMETRIES}, has {kinds}")
    (kind,) = kinds
    if kind in POLYGON_KEYS["both"] and kind not in POLYGON_KEYS[polygons]:
        raise FormatError(
            "geometry", f"{path}: polygons are written as {polygons} here, not {kind}"
        )
    return kind


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


def _refuse_bad_corners(path: str, kind: str, polygon: Polygon, numbers: list[int]) -> None:
    path = f"{path}/{kind}"
    if crosses_itself(polygon):
        raise FormatError(f"{kind}_crossing", f"{path} crosses itself or has no area: {numbers}")
    if not is_clockwise_from_top_left(polygon):
        raise FormatError(
            f"{kind}_order", f"{path} must go clockwise from its top-left corner: {numbers}"
        )


def write_object(item: CaptionObject, polygons: PolygonKey = "both") -> dict[str, object]:
    """Write the fields of an object, coordinates rounded.

    Raises: FormatError with code geometry for a polygon that the format cannot hold.

        >>> write_object(CaptionObject(Box(1, 2, 3, 4), "标签"))
        {'bbox_2d': [1, 2, 3, 4], 'desc': '标签'}
    """
    shape = round_coordinates(item.shape)
    fields = to_fields(shape)
    if isinstance(shape, Polygon):
        if polygons == "poly" and "quad" in fields:
            fields = {"poly": fields["quad"], "poly_points": len(shape.points)}
        elif polygons == "quad" and "quad" not in fields:
            raise FormatError(
                "geometry", f"a polygon of {len(shape.points)} corners, where captions hold quads"
            )
    return fields | {"desc": item.desc}


def _coordinates_hint() -> str:
    return (
        f"say what the model was trained on: {spelled('coordinates', 'norm1000')}, norm100 or pixel"
    )
