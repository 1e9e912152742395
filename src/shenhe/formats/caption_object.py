"""One object of a caption from the members that a model wrote: read whole, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shenhe.errors import FormatError
from shenhe.formats.caption import is_key
from shenhe.formats.caption_fields import read_object, refuse_fractions
from shenhe.formats.lenient_json import JsonList, JsonNode, JsonObject, JsonScalar
from shenhe.formats.repairs import RepairKind, RepairLog
from shenhe.formats.text_formats import PolygonKey
from shenhe.geometry import (
    COUNT_KEYS,
    GEOMETRIES,
    MIN_CORNERS,
    Polygon,
    Size,
    clockwise_from_top_left,
    crosses_itself,
    is_clockwise_from_top_left,
    without_repeats,
)
from shenhe.values import CaptionObject

Member = tuple[str, JsonNode]
Fields = dict[str, object]
"""The members of an object as Python values."""


class Synonym(NamedTuple):
    """A key that models write for one of the format."""

    key: str
    meaning: str
    repair: RepairKind


SYNONYMS = (
    Synonym("polygon", "poly", "polygon_as_poly"),
    Synonym("points", "poly", "points_as_poly"),
    Synonym("label", "desc", "label_as_desc"),
)
OTHER_KEYS: dict[PolygonKey, Synonym] = {
    "quad": Synonym("poly", "quad", "poly_as_quad"),
    "poly": Synonym("quad", "poly", "quad_as_poly"),
}
"""The key of polygons that a format has not, by what it says of them."""
_COUNTS: dict[str, RepairKind] = {"poly": "poly_points", "line": "line_points"}
_ORDERS: dict[str, RepairKind] = {"quad": "quad_order", "poly": "poly_order"}
_FORMAT_KEYS = frozenset({*GEOMETRIES, "desc", *COUNT_KEYS.values()})
OBJECT_FIELDS = _FORMAT_KEYS | {synonym.key for synonym in SYNONYMS}
"""A JSON object with any of these keys is an object of a caption."""
MAX_ROUNDED = 1e9
"""Larger floats are not rounded: `caption_fields.read_object` refuses them."""


class _NoValueError(Exception):
    """Something stands where a value should; its text is a piece of it."""


def object_from_members(
    path: str,
    members: Iterable[Member],
    stray: Sequence[str],
    frame: Size,
    log: RepairLog,
    polygons: PolygonKey = "both",
) -> CaptionObject:
    """Make an object of its members, and record each repair; `path` names it in errors.

    Units: `frame` in, 0-1000 out.
    Raises: FormatError, see `caption.parse`; with code structure also for stray text.
    """
    if stray:
        raise FormatError("structure", f"{path}: {stray[0]!r} is no member")
    fields = _to_fields(path, members)
    _rename_synonyms(path, fields, log)
    for kind in GEOMETRIES:
        if isinstance(numbers := fields.get(kind), list):
            fields[kind] = _to_integers(path, kind, numbers, log)
    _note_other_key(path, fields, polygons, log)
    _correct_corners(path, fields, log)
    _correct_counts(path, fields, log)
    if unknown := sorted(fields.keys() - _FORMAT_KEYS):
        log.add("unknown_keys", f"{path}: {', '.join(key[:40] for key in unknown)}")
        fields = {key: value for key, value in fields.items() if key in _FORMAT_KEYS}
    return read_object(path, fields, frame)


def _to_fields(path: str, members: Iterable[Member]) -> Fields:
    fields: Fields = {}
    for key, node in members:
        if key in fields:
            raise FormatError("duplicate_key", f"{path} holds a key twice")
        try:
            fields[key] = _to_python(node)
        except _NoValueError as error:
            raise FormatError("structure", f"{path}: {str(error)!r} is no value") from error
    return fields


def _to_python(node: JsonNode, depth: int = 0) -> object:
    """Turn a scalar, or lists at most two deep, into Python values.

    Raises: _NoValueError for everything else.
    """
    if isinstance(node, JsonScalar):
        if node.kind == "other":
            raise _NoValueError(str(node.value)[:20])
        return node.value
    if isinstance(node, JsonObject) or depth > 1:
        raise _NoValueError("{" if isinstance(node, JsonObject) else "[")
    if node.stray:
        raise _NoValueError(node.stray[0])
    return [_to_python(item, depth + 1) for item in node.items]


def _rename_synonyms(path: str, fields: Fields, log: RepairLog) -> None:
    for key, meaning, repair in SYNONYMS:
        if key not in fields or meaning in fields:
            continue
        if meaning == "poly" and (
            not isinstance(fields[key], list) or not fields.keys().isdisjoint(GEOMETRIES)
        ):
            continue
        fields[meaning] = fields.pop(key)
        log.add(repair, path)


def _note_other_key(path: str, fields: Fields, polygons: PolygonKey, log: RepairLog) -> None:
    """Record a polygon under a key that its format has not; it is read all the same."""
    synonym = OTHER_KEYS.get(polygons)
    if synonym is not None and synonym.key in fields:
        log.add(synonym.repair, path)


def _to_integers(path: str, kind: str, numbers: list[object], log: RepairLog) -> list[object]:
    """Flatten points and round floats; other values are left for `read_object`."""
    if numbers and all(isinstance(number, list) for number in numbers):
        log.add("points_flattened", path)
        numbers = [value for point in numbers if isinstance(point, list) for value in point]
    if any(type(number) is float for number in numbers):
        refuse_fractions(f"{path}/{kind}", numbers)
        log.add("rounded", path)
        numbers = [
            round(number) if isinstance(number, float) and abs(number) < MAX_ROUNDED else number
            for number in numbers
        ]
    return numbers


def _correct_corners(path: str, fields: Fields, log: RepairLog) -> None:
    """Leave out repeated corners, and put the others in order; a quad of three is a polygon.

    A polygon that crosses itself is left as it is: no order of its corners is right.
    """
    kind = next((kind for kind in _ORDERS if kind in fields), None)
    numbers = fields.get(kind) if kind else None
    if kind is None or not isinstance(numbers, list) or set(map(type, numbers)) != {int}:
        return
    whole = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    points = without_repeats(whole)
    if len(numbers) % 2 or len(points) < MIN_CORNERS:
        return
    if points != whole:
        log.add("repeated_corner", path)
        if fields.get("poly_points") in (len(whole), len(points)):
            fields["poly_points"] = len(points)
        if kind == "quad" and len(points) == MIN_CORNERS:
            fields["poly"], kind = fields.pop("quad"), "poly"
            fields["poly_points"] = len(points)
    polygon = Polygon(points)
    if not crosses_itself(polygon) and not is_clockwise_from_top_left(polygon):
        log.add(_ORDERS[kind], path)
        polygon = clockwise_from_top_left(polygon)
    fields[kind] = [value for point in polygon.points for value in point]


def _correct_counts(path: str, fields: Fields, log: RepairLog) -> None:
    for kind, count_key in _COUNTS.items():
        if isinstance(numbers := fields.get(kind), list) and (
            fields.get(count_key) != len(numbers) // 2
        ):
            log.add(count_key, f"{path} said {fields.get(count_key)}")
            fields[count_key] = len(numbers) // 2


def holds_objects(node: JsonNode, depth: int = 4) -> bool:
    """Whether a value is an object of a caption, or holds one at most `depth` levels down.

    Every JSON object in a list counts as an object of a caption.
    """
    if isinstance(node, JsonScalar) or depth == 0:
        return False
    if isinstance(node, JsonList):
        return any(
            isinstance(item, JsonObject) or holds_objects(item, depth - 1) for item in node.items
        )
    return any(
        key in OBJECT_FIELDS or is_key(key) or holds_objects(value, depth - 1)
        for key, value in node.members
    )
