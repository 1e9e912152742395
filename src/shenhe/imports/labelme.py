"""LabelMe: a JSON file a photo, or a folder of them; also X-AnyLabeling's, which descends from it.

LabelMe shows photos upright and refuses labels of another size; X-AnyLabeling shows them as they
are stored, unless it has rewritten them upright.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from shenhe.errors import FormatError
from shenhe.geometry import Point, Shape
from shenhe.imports.fields import Fields, as_list, as_object, as_points, as_size, as_text, read_json
from shenhe.imports.labelled import Entries, LabelledPhoto, box, desc_of, line, polygon
from shenhe.values import CaptionObject


def _box(points: list[Point]) -> Shape:
    if len(points) not in (2, 4):
        raise FormatError("geometry", f"a rectangle of {len(points)} points")
    xs, ys = zip(*points, strict=True)
    return box(min(xs), min(ys), max(xs), max(ys))


SHAPES: Final[dict[str, Callable[[list[Point]], Shape]]] = {
    "rectangle": _box,
    "linestrip": line,
    "line": line,
}
"""How each type of shape is read that is no polygon."""
POLYGONS: Final = frozenset({"polygon", "rotation", "quadrilateral", "oriented_rectangle"})
"""Types of polygons; `rotation` and `quadrilateral` are X-AnyLabeling's."""


def entries(source: Path, lost: Counter[str]) -> Entries:
    """Yield each file's name, and a reader of it that may raise."""
    paths = [source] if source.is_file() else _files(source)
    for path in paths:
        yield str(path), partial(_read, path, source, lost)


def is_label_file(content: object) -> bool:
    """Whether JSON is a file of these tools."""
    return isinstance(content, dict) and "shapes" in content and "imagePath" in content


def _files(folder: Path) -> Iterator[Path]:
    for inner, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(inner, name) for name in sorted(names) if name.endswith(".json"))


def _read(path: Path, source: Path, lost: Counter[str]) -> LabelledPhoto:
    content = as_object(read_json(path), "the file")
    if not is_label_file(content):
        raise FormatError("structure", "no shapes and no imagePath")
    name = as_text(content["imagePath"], "imagePath").replace("\\", "/")
    beside = os.path.relpath(path.parent, source if source.is_dir() else path.parent)
    names = [name] if beside == "." else [f"{beside}/{name}", name]
    objects = []
    for number, shape in enumerate(as_list(content["shapes"], "shapes"), 1):
        item = _object(as_object(shape, f"shape {number}"), number, lost)
        objects += [item] if item else []
    size = as_size(content.get("imageWidth"), content.get("imageHeight"))
    return LabelledPhoto(names, size, objects)


def _object(shape: Fields, number: int, lost: Counter[str]) -> CaptionObject | None:
    """Read a shape; None for one that captions do not have."""
    kind = as_text(shape.get("shape_type") or "polygon", f"the type of shape {number}")
    if kind not in POLYGONS | SHAPES.keys():
        lost[f"shapes of type {kind[:40]!r}: left out"] += 1
        return None
    points = as_points(shape.get("points"), f"shape {number}")
    label = as_text(shape.get("label") or "", f"the label of shape {number}")
    description = as_text(shape.get("description") or "", f"the description of shape {number}")
    lost["groups of shapes: left out"] += shape.get("group_id") is not None
    lost["flags of shapes: left out"] += bool(shape.get("flags") or shape.get("attributes"))
    placed = polygon(points, lost) if kind in POLYGONS else SHAPES[kind](points)
    return CaptionObject(placed, desc_of(label, description, lost))
