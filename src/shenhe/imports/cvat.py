"""CVAT for images 1.1: one XML file, which may name photos in folders.

CVAT shows photos upright. A document type is refused, and with it every entity: nothing in the file
can grow, or be read from elsewhere.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from xml.parsers import expat

from shenhe.errors import FormatError, IntakeError
from shenhe.geometry import Box, Point, Polygon, Shape
from shenhe.imports.fields import as_number, as_size
from shenhe.imports.labelled import Entries, LabelledPhoto, box, desc_of, line, polygon
from shenhe.imports.turning import rotated_box
from shenhe.values import CaptionObject

Attributes = dict[str, str]
CHUNK: Final = 1 << 16
MAX_DEPTH: Final = 32
SHAPES: Final = frozenset({"box", "polygon", "polyline"})
LEFT_OUT: Final = frozenset({"points", "cuboid", "ellipse", "mask", "skeleton", "tag"})
SAME_EDGE: Final = 0.5
"""Pixels by which the edges of a box and of an outline may differ that are one object."""
BOXES_OF_OUTLINES: Final = "boxes of outlines in one group: left out, the outlines count"
DESC: Final = ("desc", "description", "描述")
"""Names of the attribute that holds a desc."""


class _Element:
    """A shape of an image, with the texts of its attributes by name."""

    def __init__(self, kind: str, fields: Attributes) -> None:
        self.kind, self.fields = kind, fields
        self.texts: Attributes = {}


class _Image:
    """An image, and its shapes so far."""

    def __init__(self, fields: Attributes) -> None:
        self.fields = fields
        self.elements: list[_Element] = []


class _Parser:
    """Collects images while the file is read; expat calls its methods."""

    def __init__(self) -> None:
        self.images: deque[_Image] = deque()
        self._image: _Image | None = None
        self._attribute = ""
        self._depth = 0
        self._expat = expat.ParserCreate(namespace_separator=None)
        self._expat.buffer_text = True
        self._expat.StartDoctypeDeclHandler = self._refuse
        self._expat.EntityDeclHandler = self._refuse
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._text

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Parse a piece of the file.

        Raises: FormatError for a document type, another root or too deep a nesting;
        expat.ExpatError for what is no XML.
        """
        self._expat.Parse(data, final)

    def _refuse(self, *_: object) -> None:
        raise FormatError("entities", "it declares a document type or entities, which are not read")

    def _start(self, name: str, fields: Attributes) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FormatError("structure", "nested too deeply")
        if self._depth == 1 and name != "annotations":
            raise FormatError("structure", f"its root is {name[:40]!r}, not annotations")
        if name == "track" and self._depth == 2:
            raise FormatError("structure", "tracks of a video: export it as CVAT for images 1.1")
        if name == "image" and self._depth == 2:
            self._image = _Image(fields)
        elif self._image is not None and self._depth == 3:
            self._image.elements.append(_Element(name, fields))
        elif self._image is not None and name == "attribute":
            self._attribute = fields.get("name", "")
            self._image.elements[-1].texts[self._attribute] = ""

    def _text(self, text: str) -> None:
        if self._image is not None and self._attribute:
            self._image.elements[-1].texts[self._attribute] += text

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "attribute":
            self._attribute = ""
        if name == "image" and self._image is not None and self._depth == 1:
            self.images.append(self._image)
            self._image = None


def entries(source: Path, lost: Counter[str]) -> Entries:
    """Yield each image's name, and a reader of it that may raise; the file is read piece by piece.

    Raises: IntakeError for a file that cannot be read.
    """
    for path in [source] if source.is_file() else sorted(source.glob("*.xml")):
        for number, image in enumerate(_images(path), 1):
            yield f"{path}: image {number}", partial(_read, image, lost)


def _images(path: Path) -> Iterator[_Image]:
    parser = _Parser()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                parser.feed(chunk)
                while parser.images:
                    yield parser.images.popleft()
            parser.feed(b"", final=True)
        yield from parser.images
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {error.strerror}") from error
    except expat.ExpatError as error:
        raise IntakeError(f"{path}: no XML: {error}") from error
    except (FormatError, ValueError, LookupError) as error:  # codecs that Python does not have
        raise IntakeError(f"{path}: {error}") from error


def _read(image: _Image, lost: Counter[str]) -> LabelledPhoto:
    name = image.fields.get("name", "")
    size = as_size(
        _optional(image.fields, "width", "the image"),
        _optional(image.fields, "height", "the image"),
    )
    objects: list[CaptionObject] = []
    groups: list[str] = []
    for number, element in enumerate(image.elements, 1):
        if element.kind in SHAPES:
            groups.append(element.fields.get("group_id", ""))
            description = next((element.texts[key] for key in DESC if element.texts.get(key)), "")
            desc = desc_of(element.fields.get("label", ""), description, lost)
            objects.append(CaptionObject(_shape(element, f"shape {number}", lost), desc))
        elif element.kind in LEFT_OUT:
            lost[f"{element.kind}: left out"] += 1
        others = element.texts.keys() - set(DESC)
        lost["attributes of objects beside desc: left out"] += len(others)
    return LabelledPhoto([name], size, _without_boxes_of_outlines(objects, groups, lost))


def _without_boxes_of_outlines(
    objects: list[CaptionObject], groups: list[str], lost: Counter[str]
) -> list[CaptionObject]:
    """Leave out the boxes that Datumaro adds to outlines, where it reads COCO: one object each."""
    outlines = [
        (group, item.desc, item.shape)
        for item, group in zip(objects, groups, strict=True)
        if isinstance(item.shape, Polygon) and group not in ("", "0")
    ]
    kept = [
        item
        for item, group in zip(objects, groups, strict=True)
        if not isinstance(item.shape, Box)
        or not any(
            (group, item.desc) == (other, desc) and _is_box_of(item.shape, outline)
            for other, desc, outline in outlines
        )
    ]
    lost[BOXES_OF_OUTLINES] += len(objects) - len(kept)
    return kept


def _is_box_of(shape: Box, outline: Polygon) -> bool:
    xs, ys = zip(*outline.points, strict=True)
    pairs = ((shape.x1, min(xs)), (shape.y1, min(ys)), (shape.x2, max(xs)), (shape.y2, max(ys)))
    return all(abs(a - b) <= SAME_EDGE for a, b in pairs)


def _shape(element: _Element, name: str, lost: Counter[str]) -> Shape:
    if element.kind != "box":
        points = _points(element.fields.get("points", ""), name)
        return polygon(points, lost) if element.kind == "polygon" else line(points)
    left, top, right, bottom = (
        _number(element.fields, key, name) for key in ("xtl", "ytl", "xbr", "ybr")
    )
    angle = _optional(element.fields, "rotation", name)
    if right <= left or bottom <= top:
        raise FormatError("geometry", f"{name}: an inverted or empty box")
    if not angle:
        return box(left, top, right, bottom)
    centre = ((left + right) / 2, (top + bottom) / 2)
    sides = (right - left, bottom - top)
    return polygon(rotated_box((left, top), sides, math.radians(angle), centre), lost)


def _points(text: str, name: str) -> list[Point]:
    """Read `x,y;x,y`."""
    points = []
    for pair in text.split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise FormatError("geometry", f"{name}: {pair[:40]!r} is no point")
        points.append((_parsed(x, name), _parsed(y, name)))
    return points


def _number(fields: Attributes, key: str, name: str) -> float:
    if key not in fields:
        raise FormatError("geometry", f"{name} has no {key}")
    return _parsed(fields[key], f"{key} of {name}")


def _optional(fields: Attributes, key: str, name: str) -> float | None:
    return _parsed(fields[key], f"{key} of {name}") if key in fields else None


def _parsed(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise FormatError("geometry", f"{name}: {text[:40]!r} is no number") from error
    return as_number(value, name)
