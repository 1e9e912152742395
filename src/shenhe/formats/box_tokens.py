"""Qwen's older notation of boxes, with its special tokens or stripped of them by a server:

<|object_ref_start|>name<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from shenhe.errors import FormatError
from shenhe.formats.caption import frame_at, read_object, refuse_fractions
from shenhe.geometry import Size
from shenhe.values import Caption, CaptionObject

_NUMBER = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,20})?")
_CORNER = rf"\(\s?{_NUMBER.pattern}\s?,\s?{_NUMBER.pattern}\s?\)"
# All corners that stand together. Begins with a bracket, so that the search is linear.
_CORNERS = re.compile(rf"{_CORNER}(?:\s?,?\s?{_CORNER})++")
_SPECIAL = re.compile(r"<\|(?:object_ref|box|quad)_(?:start|end)\|>|</?(?:ref|box|quad)>")
_OPENING = re.compile(r"<\|(?P<old>box|quad)_start\|>|<(?P<older>box|quad)>")
_REF = re.compile(r"<\|object_ref_start\|>|<ref>")
_BLANK = " \t\r\n,，;；、"


class Boxes(NamedTuple):
    """What was read, further repairs that it took, and whether its end is missing."""

    caption: Caption
    repairs: tuple[str, ...]
    truncated: bool


def looks_like(text: str) -> bool:
    """Whether a text is written so: corners in brackets, and none of JSON's."""
    return "{" not in text and _CORNERS.search(text) is not None


def read(text: str, photo_count: int | None = None, frames: Sequence[Size] | None = None) -> Boxes:
    """Read the boxes of one photo; units as in `caption.parse`.

    Several boxes in one pair of tokens, or several pairs behind one name, all have that name.
    Raises: FormatError as there; desc_empty where a server stripped the names too, structure for
    text that belongs to no box, geometry for corners that may be several things, photo_count if
    several photos were asked about.
    """
    if photo_count not in (None, 1):
        raise FormatError("photo_count", f"expected {photo_count} photos, got boxes of one")
    frame = frame_at(frames, 0)
    objects: list[CaptionObject] = []
    repairs: dict[str, None] = {}
    name, at = "", 0
    for corners in _CORNERS.finditer(text):
        before, at = text[at : corners.start()], corners.end()
        openings = list(_OPENING.finditer(before))
        where = f"图片_1/object_{len(objects) + 1}"
        if len(openings) > 1:
            raise FormatError("structure", f"{where}: a box without two corners stands before it")
        own_name = _SPECIAL.sub("", before).strip(_BLANK)
        if own_name or not openings or not name or _REF.search(before):
            name = own_name
        else:
            repairs["name_carried_on"] = None
        kind = (openings[0]["old"] or openings[0]["older"]) if openings else ""
        numbers = _whole_numbers(where, _NUMBER.findall(corners[0]), repairs)
        shapes = _shapes(where, kind, numbers, frame)
        if len(shapes) > 1:
            repairs[f"boxes_joined: {len(shapes)} from {where} on"] = None
        for fields in shapes:
            where = f"图片_1/object_{len(objects) + 1}"
            objects.append(read_object(where, fields | {"desc": name}, frame))
    rest = text[at:]
    truncated = bool(_OPENING.search(rest) or _REF.search(rest))
    if truncated:
        repairs[f"truncated: the text ends behind 图片_1/object_{len(objects)}"] = None
    elif words := _SPECIAL.sub("", rest).strip(_BLANK + "。."):
        raise FormatError("structure", f"text behind the last box: {words[:40]!r}")
    return Boxes(Caption((tuple(objects),)), tuple(repairs), truncated)


def _whole_numbers(where: str, written: list[str], repairs: dict[str, None]) -> list[int]:
    """Read numbers, rounding what is no whole one, as in JSON.

    Raises: FormatError with code range for coordinates from 0 to 1.
    """
    numbers = [float(number) if "." in number else int(number) for number in written]
    if any(isinstance(number, float) for number in numbers):
        refuse_fractions(where, numbers)
        repairs[f"rounded: {where}"] = None
    return [round(number) for number in numbers]


def _shapes(where: str, kind: str, numbers: list[int], frame: Size) -> list[dict[str, Any]]:
    """Part the corners that stand together into shapes, as their tokens say.

    Raises: FormatError with code geometry where they may be a quad, or two boxes, or neither.
    """
    as_boxes = [{"bbox_2d": numbers[at : at + 4]} for at in range(0, len(numbers), 4)]
    as_quads = [{"quad": numbers[at : at + 8]} for at in range(0, len(numbers), 8)]
    if kind == "box" or len(numbers) == 4:
        return as_boxes
    if kind == "quad":
        return as_quads
    if len(numbers) == 8:
        readable = [shapes for shapes in (as_quads, as_boxes) if _are_read(shapes, frame)]
        if len(readable) == 1:
            return readable[0]
    raise FormatError(
        "geometry", f"{where}: {len(numbers) // 2} corners are no box, and no tokens say what"
    )


def _are_read(shapes: list[dict[str, Any]], frame: Size) -> bool:
    try:
        for fields in shapes:
            read_object("", fields | {"desc": "-"}, frame)
    except FormatError:
        return False
    return True
