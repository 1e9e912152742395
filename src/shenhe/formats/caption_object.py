"""One object of a caption, of the members that a model wrote: taken whole, or refused by name."""

from __future__ import annotations

from typing import Any, Protocol

from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.formats.lenient_json import JsonList, JsonNode, JsonObject, JsonScalar
from shenhe.geometry import Quad, Size, clockwise_from_top_left, crosses_itself
from shenhe.values import CaptionObject

OTHER_NAMES = {"poly": "quad", "polygon": "quad", "label": "desc"}
"""What models call a geometry or a desc, and what it is here."""
KEYS = frozenset({*caption.GEOMETRIES, *OTHER_NAMES, "desc", "line_points"})
"""A JSON object with any of these is an object of a caption, or means to be one."""


class Note(Protocol):
    """Takes the code of a repair and its detail."""

    def __call__(self, code: str, detail: str = "") -> None:
        """Note it."""


class _NoValueError(Exception):
    """What stands where a value should; its text is a piece of it."""


def make(
    where: str, members: list[tuple[str, JsonNode]], stray: list[str], frame: Size, note: Note
) -> CaptionObject:
    """Make an object of its members, noting each repair.

    Units: `frame` in, 0-1000 out.
    Raises: FormatError, see `caption.parse`; structure also for what is no member or no value.
    """
    if stray:
        raise FormatError("structure", f"{where}: {stray[0]!r} is no member")
    fields: dict[str, Any] = {}
    for key, node in members:
        if key in fields:
            raise FormatError("duplicate_key", f"{where} holds a key twice")
        try:
            fields[key] = _value(node)
        except _NoValueError as error:
            raise FormatError("structure", f"{where}: {str(error)!r} is no value") from error
    _rename(where, fields, note)
    for kind in caption.GEOMETRIES:
        if isinstance(numbers := fields.get(kind), list):
            fields[kind] = _whole_numbers(f"{where}/{kind}", where, numbers, note)
    if isinstance(line := fields.get("line"), list) and (
        fields.get("line_points") != len(line) // 2
    ):
        note("line_points", f"{where} said {fields.get('line_points')}")
        fields["line_points"] = len(line) // 2
    known = {*caption.GEOMETRIES, "desc", "line_points"}
    if unknown := sorted(fields.keys() - known):
        note("unknown_keys", f"{where}: {', '.join(key[:40] for key in unknown)}")
        fields = {key: value for key, value in fields.items() if key in known}
    return caption.read_object(where, _corners_in_order(where, fields, note), frame)


def _value(node: JsonNode, depth: int = 0) -> Any:
    if isinstance(node, JsonScalar):
        if node.kind == "other":
            raise _NoValueError(str(node.value)[:20])
        return node.value
    if isinstance(node, JsonObject) or depth > 1:
        raise _NoValueError("{" if isinstance(node, JsonObject) else "[")
    if node.stray:
        raise _NoValueError(node.stray[0])
    return [_value(item, depth + 1) for item in node.items]


def _rename(where: str, fields: dict[str, Any], note: Note) -> None:
    for other, name in OTHER_NAMES.items():
        if other not in fields or name in fields:
            continue
        if name == "quad":
            _refuse_other_polygons(where, other, fields[other])
        fields[name] = fields.pop(other)
        note(f"{other}_as_{name}", where)


def _refuse_other_polygons(where: str, name: str, numbers: Any) -> None:
    corners = numbers if isinstance(numbers, list) else []
    if corners and not all(isinstance(corner, list) for corner in corners):
        corners = corners[::2]
    if len(corners) != 4:
        raise FormatError(
            "geometry",
            f"{where}/{name} has {len(corners)} corners: captions hold quads of four corners,"
            " and no other polygons",
        )


def _whole_numbers(what: str, where: str, numbers: list[Any], note: Note) -> list[Any]:
    """Flatten points and round what is no whole number."""
    if numbers and all(isinstance(n, list) for n in numbers):
        note("points_flattened", where)
        numbers = [value for point in numbers for value in point]
    if any(type(n) is float for n in numbers):
        caption.refuse_fractions(what, numbers)
        note("rounded", where)
        numbers = [round(n) if type(n) is float and abs(n) < 1e9 else n for n in numbers]
    return numbers


def _corners_in_order(where: str, fields: dict[str, Any], note: Note) -> dict[str, Any]:
    numbers = fields.get("quad")
    if not isinstance(numbers, list) or len(numbers) != 8 or set(map(type, numbers)) != {int}:
        return fields
    quad = Quad(tuple(zip(numbers[::2], numbers[1::2], strict=True)))
    if crosses_itself(quad):  # the order of its corners says nothing: read_object refuses it
        return fields
    ordered = [value for point in clockwise_from_top_left(quad).points for value in point]
    if ordered != numbers:
        note("quad_order", where)
    return fields | {"quad": ordered}


def holds_objects(node: JsonNode, depth: int = 4) -> bool:
    """Whether a value is an object of a caption, or has any in it, so many levels down.

    Whatever object stands in a list means to be one.
    """
    if isinstance(node, JsonScalar) or depth == 0:
        return False
    if isinstance(node, JsonList):
        return any(
            isinstance(item, JsonObject) or holds_objects(item, depth - 1) for item in node.items
        )
    return any(
        key in KEYS or caption.is_key(key) or holds_objects(value, depth - 1)
        for key, value in node.members
    )
