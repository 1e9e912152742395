"""Qwen's older notation of boxes, with its special tokens or stripped of them by a server:

<|object_ref_start|>name<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from shenhe.errors import FormatError
from shenhe.formats.caption import frame_at, read_object
from shenhe.geometry import Size
from shenhe.records import Caption

_PAIR = r"\(\s?([0-9]{1,5})\s?,\s?([0-9]{1,5})\s?\)"
# Two corners of a box, or the four of a quad. Begins with a bracket, so that the search is linear.
_CORNERS = re.compile(rf"{_PAIR}\s?,\s?{_PAIR}(?:\s?,\s?{_PAIR}\s?,\s?{_PAIR})?")
_SPECIAL = re.compile(r"<\|(?:object_ref|box|quad)_(?:start|end)\|>")


def looks_like(text: str) -> bool:
    """Whether a text is written so: corners in brackets, and none of JSON's."""
    return "{" not in text and _CORNERS.search(text) is not None


def parse(
    text: str, photo_count: int | None = None, frames: Sequence[Size] | None = None
) -> Caption:
    """Read the boxes of one photo; units as in `caption.parse`.

    Raises: FormatError as there; desc_empty where a server stripped the names too, structure for
    text that belongs to no box, photo_count if several photos were asked about.
    """
    if photo_count not in (None, 1):
        raise FormatError("photo_count", f"expected {photo_count} photos, got boxes of one")
    objects = []
    at = 0
    plain = _SPECIAL.sub("", text)
    for number, found in enumerate(_CORNERS.finditer(plain), 1):
        name = plain[at : found.start()].strip(" \t\r\n,，;；、")
        at = found.end()
        numbers = [int(value) for value in found.groups() if value is not None]
        kind = "bbox_2d" if len(numbers) == 4 else "quad"
        fields = {kind: numbers, "desc": name}
        objects.append(read_object(f"图片_1/object_{number}", fields, frame_at(frames, 0)))
    if rest := plain[at:].strip(" \t\r\n,，;；、。."):
        raise FormatError("structure", f"text behind the last box: {rest[:40]!r}")
    return Caption((tuple(objects),))
