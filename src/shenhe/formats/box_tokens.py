"""Qwen's older notation of boxes, with its special tokens or stripped of them by a server:

<|object_ref_start|>name<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shenhe.errors import FormatError
from shenhe.formats.caption_fields import frame_at, read_object, refuse_fractions
from shenhe.formats.repairs import Repair
from shenhe.geometry import Size
from shenhe.values import Caption, CaptionObject

_NUMBER = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,20})?")
_CORNER = rf"\(\s?{_NUMBER.pattern}\s?,\s?{_NUMBER.pattern}\s?\)"
# Corners in a row. Begins with a bracket, so that the search is linear.
_CORNERS = re.compile(rf"{_CORNER}(?:\s?,?\s?{_CORNER})++")
_SPECIAL = re.compile(r"<\|(?:object_ref|box|quad)_(?:start|end)\|>|</?(?:ref|box|quad)>")
_OPENING = re.compile(r"<\|(?P<old>box|quad)_start\|>|<(?P<older>box|quad)>")
_REF = re.compile(r"<\|object_ref_start\|>|<ref>")
_BLANK = " \t\r\n,，;；、"

Geometry = Mapping[str, list[int]]
"""The coordinates of one shape by its key, bbox_2d or quad."""


class Boxes(NamedTuple):
    """The caption, the repairs made, and whether the text was truncated."""

    caption: Caption
    repairs: tuple[Repair, ...]
    truncated: bool


def looks_like(text: str) -> bool:
    """Whether a text is written in this notation: corners in brackets, and no JSON."""
    return "{" not in text and _CORNERS.search(text) is not None


def read(text: str, photo_count: int | None = None, frames: Sequence[Size] | None = None) -> Boxes:
    """Read the boxes of one photo; units as in `caption.parse`.

    Boxes in one pair of tokens, and pairs that follow one name, share that name.
    Raises: FormatError as there; also with code desc_empty if a server stripped the names,
    structure for text that belongs to no box, geometry for ambiguous corners, photo_count if
    several photos are expected.

        >>> read("标签(1,2),(3,4)").caption.photos[0][0].desc
        '标签'
    """
    if photo_count not in (None, 1):
        raise FormatError("photo_count", f"expected {photo_count} photos, got boxes of one")
    frame = frame_at(frames, 0)
    objects: list[CaptionObject] = []
    repairs: dict[Repair, None] = {}
    name, end = "", 0
    for corners in _CORNERS.finditer(text):
        before, end = text[end : corners.start()], corners.end()
        openings = list(_OPENING.finditer(before))
        path = _path(len(objects) + 1)
        if len(openings) > 1:
            raise FormatError("structure", f"{path}: a box without two corners stands before it")
        own_name = _SPECIAL.sub("", before).strip(_BLANK)
        if own_name or not openings or not name or _REF.search(before):
            name = own_name
        else:
            repairs[Repair("name_carried_on")] = None
        kind = (openings[0]["old"] or openings[0]["older"]) if openings else ""
        numbers = _read_numbers(path, _NUMBER.findall(corners[0]), repairs)
        shapes = _split_shapes(path, kind, numbers, frame)
        if len(shapes) > 1:
            repairs[Repair("boxes_joined", f"{len(shapes)} from {path} on")] = None
        for shape in shapes:
            objects.append(read_object(_path(len(objects) + 1), {**shape, "desc": name}, frame))
    truncated = _is_truncated(text[end:])
    if truncated:
        detail = f"the text ends behind {_path(len(objects))}"
        repairs[Repair("truncated", detail)] = None
    return Boxes(Caption((tuple(objects),)), tuple(repairs), truncated)


def _path(number: int) -> str:
    return f"图片_1/object_{number}"


def _is_truncated(tail: str) -> bool:
    """Whether the text behind the last box begins another one.

    Raises: FormatError with code structure for other words.
    """
    if _OPENING.search(tail) or _REF.search(tail):
        return True
    if words := _SPECIAL.sub("", tail).strip(_BLANK + "。."):
        raise FormatError("structure", f"text behind the last box: {words[:40]!r}")
    return False


def _read_numbers(path: str, texts: list[str], repairs: dict[Repair, None]) -> list[int]:
    """Read numbers, and round fractions as in JSON.

    Raises: FormatError with code range for coordinates from 0 to 1.
    """
    numbers = [float(text) if "." in text else int(text) for text in texts]
    if any(isinstance(number, float) for number in numbers):
        refuse_fractions(path, numbers)
        repairs[Repair("rounded", path)] = None
    return [round(number) for number in numbers]


def _split_shapes(path: str, kind: str, numbers: list[int], frame: Size) -> list[Geometry]:
    """Split corners in a row into shapes; `kind` is that of their tokens, if there are any.

    Raises: FormatError with code geometry if they may be a quad or two boxes, or are neither.
    """
    as_boxes: list[Geometry] = [
        {"bbox_2d": numbers[start : start + 4]} for start in range(0, len(numbers), 4)
    ]
    as_quads: list[Geometry] = [
        {"quad": numbers[start : start + 8]} for start in range(0, len(numbers), 8)
    ]
    if kind == "box" or len(numbers) == 4:
        return as_boxes
    if kind == "quad":
        return as_quads
    if len(numbers) == 8:
        readable = [shapes for shapes in (as_quads, as_boxes) if _are_valid(shapes, frame)]
        if len(readable) == 1:
            return readable[0]
    raise FormatError(
        "geometry", f"{path}: {len(numbers) // 2} corners are no box, and no tokens say what"
    )


def _are_valid(shapes: list[Geometry], frame: Size) -> bool:
    try:
        for shape in shapes:
            read_object("", {**shape, "desc": "-"}, frame)
    except FormatError:
        return False
    return True
