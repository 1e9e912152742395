"""Objects of a photo as a person left them: the caption that a row to train from then holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import Field

from shenhe.errors import FormatError
from shenhe.formats.caption_fields import read_object
from shenhe.geometry import (
    COUNT_KEYS,
    FRAME,
    Box,
    Line,
    Point,
    Polygon,
    clockwise_from_top_left,
    crosses_itself,
    round_coordinates,
)
from shenhe.row_types import Row
from shenhe.values import CaptionObject

ObjectKind = Literal["bbox_2d", "poly", "line"]
KINDS: Final[tuple[ObjectKind, ...]] = get_args(ObjectKind)
MAX_POINTS: Final = 1000
"""Maximum number of points of a line that a person may draw; polygons have MAX_CORNERS."""
MAX_DESC: Final = 1000
"""Maximum length of a desc. Units: characters."""
ADDED: Final = "new_"
"""How the keys of objects begin that no model named."""
Coordinate = Annotated[int, Field(ge=0, le=FRAME)]
_KIND_OF: Final[Mapping[type, ObjectKind]] = {Box: "bbox_2d", Polygon: "poly", Line: "line"}
_KEY: Final = re.compile(r"(object|new)_[1-9][0-9]{0,5}")
_FIELDS: Final = frozenset({"key", "kind", "points", "desc", "kept"})
_UNREADABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]|<\\|[^|<>]{0,64}\\|>"
)
"""Control characters, halves of characters, and special tokens of models."""


class CorrectedObject(Row):
    """An object on a photo, by a person or as the model named it and a person left it.

    `key` is that of the model's object (`object_1` on), or `new_1` on where a person added it.
    `points` are the top-left and the bottom-right corner of a box, the corners of a polygon or the
    points of a line. `kept` says that a person confirmed a desc that the vocabulary does not know.
    Units: 0-1000 of the upright photo, whole numbers.
    """

    key: str
    kind: ObjectKind
    points: tuple[tuple[Coordinate, Coordinate], ...]
    desc: str
    kept: bool = False

    @classmethod
    def of(cls, key: str, item: CaptionObject) -> Self:
        """Begin with the model's object, the blanks of its desc made single ones."""
        shape = round_coordinates(item.shape)
        corners = shape.points[::2] if isinstance(shape, Box) else shape.points
        # Not validated: a page may have thousands, and captions were validated when they were read.
        return cls.model_construct(
            key=key,
            kind=_KIND_OF[type(shape)],
            points=tuple((_within(x), _within(y)) for x, y in corners),
            desc=" ".join(item.desc.split()),
        )

    @property
    def item(self) -> CaptionObject:
        """The object as a caption has it.

        Raises: FormatError for a shape that is none, as no shenhe writes.
        """
        return read_object(self.key, _caption_fields(self.kind, self.points, self.desc))


def _within(coordinate: float) -> int:
    return min(max(round(coordinate), 0), FRAME)


def read_corrected(content: object) -> CorrectedObject:
    """Read an object that a browser sent; corners of a polygon are put in their order.

    Raises: FormatError with code structure, characters, desc_length, or one of `caption.parse`.

        >>> content = {"key": "new_1", "kind": "line", "points": [[1, 2], [3, 4]], "desc": "电线"}
        >>> read_corrected(content).points
        ((1, 2), (3, 4))
    """
    if not isinstance(content, dict) or not _FIELDS.issuperset(content):
        raise FormatError("structure", "an object holds other fields")
    key, kept = content.get("key"), content.get("kept", False)
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise FormatError("structure", "an object has no key")
    kind = next((kind for kind in KINDS if kind == content.get("kind")), None)
    if kind is None or not isinstance(kept, bool):
        raise FormatError("structure", f"{key} is neither a box nor a polygon nor a line")
    points = _read_points(key, kind, content.get("points"))
    desc = _read_desc(key, content.get("desc"))
    read_object(key, _caption_fields(kind, points, desc))
    return CorrectedObject(key=key, kind=kind, points=points, desc=desc, kept=kept)


def _read_points(key: str, kind: str, value: object) -> tuple[tuple[int, int], ...]:
    if not isinstance(value, list) or len(value) > MAX_POINTS:
        raise FormatError("geometry", f"{key} has no points, or more than {MAX_POINTS}")
    points = []
    for point in value:
        if not isinstance(point, list) or len(point) != 2 or {int} != set(map(type, point)):
            raise FormatError("geometry", f"{key}: a point is two whole numbers")
        points.append((point[0], point[1]))
    if kind == "bbox_2d" and len(points) != 2:
        raise FormatError("geometry", f"{key}: a box has two corners")
    if len(set(points)) < 2:
        raise FormatError("geometry", f"{key} has no two points that differ")
    return _in_order(points) if kind == "poly" else tuple(points)


def _in_order(corners: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Order the corners of a polygon; one that crosses itself has no order, and is told of."""
    polygon = Polygon(tuple(corners))
    if len(corners) < 3 or crosses_itself(polygon):
        return tuple(corners)
    return tuple((round(x), round(y)) for x, y in clockwise_from_top_left(polygon).points)


def _read_desc(key: str, value: object) -> str:
    if not isinstance(value, str) or not (desc := " ".join(value.split())):
        raise FormatError("desc_empty", f"{key} has no desc")
    if len(desc) > MAX_DESC:
        raise FormatError("desc_length", f"{key}: the desc is longer than {MAX_DESC}")
    if mark := _UNREADABLE.search(desc):
        raise FormatError("characters", f"{key}: the desc holds {mark[0]!a}")
    return desc


def _caption_fields(kind: str, points: Sequence[Point], desc: str) -> dict[str, object]:
    """Give the fields of an object as a caption has them."""
    fields: dict[str, object] = {kind: [n for point in points for n in point], "desc": desc}
    if kind in COUNT_KEYS:
        fields[COUNT_KEYS[kind]] = len(points)
    return fields


def correct_descs(
    objects: Sequence[CorrectedObject], descs: Mapping[str, str | None]
) -> tuple[CorrectedObject, ...]:
    """Replace descs by the key of their object; None marks one that is not on the photo.

    Earlier versions stored no more of a corrected caption than these.
    """
    corrected = ((item, descs.get(item.key, item.desc)) for item in objects)
    return tuple(
        item.model_copy(update={"desc": desc}) for item, desc in corrected if desc is not None
    )
