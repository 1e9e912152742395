"""One object of a caption from the members that a model wrote: read whole, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.formats.lenient_json import JsonList, JsonNode, JsonObject, JsonScalar
from shenhe.formats.repairs import RepairKind, RepairLog
from shenhe.geometry import (
    COUNT_KEYS,
    GEOMETRIES,
    Polygon,
    Size,
    clockwise_from_top_left,
    crosses_itself,
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
    Synonym("poly", "quad", "poly_as_quad"),
    Synonym("polygon", "quad", "polygon_as_quad"),
    Synonym("label", "desc", "label_as_desc"),
)
_FORMAT_KEYS = frozenset({*GEOMETRIES, "desc", *COUNT_KEYS.values()})
OBJECT_FIELDS = _FORMAT_KEYS | {synonym.key for synonym in SYNONYMS}
"""A JSON object with any of these keys is an object of a caption."""
MAX_ROUNDED = 1e9
"""Larger floats are not rounded: `caption.read_object` refuses them."""


class _NoValueError(Exception):
    """Something stands where a value should; its text is a piece of it."""


def object_from_members(
    path: str, members: Iterable[Member], stray: Sequence[str], frame: Size, log: RepairLog
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
    if isinstance(line := fields.get("line"), list) and (
        fields.get("line_points") != len(line) // 2
    ):
        log.add("line_points", f"{path} said {fields.get('line_points')}")
        fields["line_points"] = len(line) // 2
    if unknown := sorted(fields.keys() - _FORMAT_KEYS):
        log.add("unknown_keys", f"{path}: {', '.join(key[:40] for key in unknown)}")
        fields = {key: value for key, value in fields.items() if key in _FORMAT_KEYS}
    return caption.read_object(path, _reorder_corners(path, fields, log), frame)


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
        if meaning == "quad":
            _refuse_other_polygons(f"{path}/{key}", fields[key])
        fields[meaning] = fields.pop(key)
        log.add(repair, path)


def _refuse_other_polygons(path: str, numbers: object) -> None:
    corners = numbers if isinstance(numbers, list) else []
    if corners and not all(isinstance(corner, list) for corner in corners):
        corners = corners[::2]
    if len(corners) != 4:
        raise FormatError(
            "geometry",
            f"{path} has {len(corners)} corners: captions hold quads of four corners,"
            " and no other polygons",
        )


def _to_integers(path: str, kind: str, numbers: list[object], log: RepairLog) -> list[object]:
    """Flatten points and round floats; other values are left for `caption.read_object`."""
    if numbers and all(isinstance(number, list) for number in numbers):
        log.add("points_flattened", path)
        numbers = [value for point in numbers if isinstance(point, list) for value in point]
    if any(type(number) is float for number in numbers):
        caption.refuse_fractions(f"{path}/{kind}", numbers)
        log.add("rounded", path)
        numbers = [
            round(number) if isinstance(number, float) and abs(number) < MAX_ROUNDED else number
            for number in numbers
        ]
    return numbers


def _reorder_corners(path: str, fields: Fields, log: RepairLog) -> Fields:
    numbers = fields.get("quad")
    if not isinstance(numbers, list) or len(numbers) != 8 or set(map(type, numbers)) != {int}:
        return fields
    quad = Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)))
    if crosses_itself(quad):  # no order of its corners is right: read_object refuses it
        return fields
    ordered = [value for point in clockwise_from_top_left(quad).points for value in point]
    if ordered != numbers:
        log.add("quad_order", path)
    return fields | {"quad": ordered}


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
        key in OBJECT_FIELDS or caption.is_key(key) or holds_objects(value, depth - 1)
        for key, value in node.members
    )
