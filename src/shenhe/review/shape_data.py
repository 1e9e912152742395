"""The objects of captions as the script of a page reads them: shapes, descs and colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from shenhe.formats.caption import from_grouped
from shenhe.formats.desc import category
from shenhe.geometry import Box, Line
from shenhe.overlays import colour_of
from shenhe.review.index import GroupRows
from shenhe.values import CaptionObject, photo_key


class ObjectData(TypedDict):
    """An object of a photo. Units: points are in the 0-1000 frame; a box has two of them."""

    key: str
    kind: str
    points: list[tuple[float, float]]
    desc: str


def lay_out_shapes(
    group: GroupRows, descs: Mapping[str, Mapping[str, str | None]]
) -> dict[str, list[ObjectData]]:
    """Lay out the objects of the photos that have a caption, with the descs that people gave.

    Objects that people found not to be there are left out.
    """
    shapes = {}
    for index, image in enumerate(group.images):
        if image not in group.captions:
            continue
        (objects,) = from_grouped(group.captions[image].caption).photos
        changes = descs.get(photo_key(index), {})
        named = ((f"object_{number}", item) for number, item in enumerate(objects, 1))
        shapes[photo_key(index)] = [
            _lay_out(key, item, changes.get(key) or item.desc)
            for key, item in named
            if key not in changes or changes[key] is not None
        ]
    return shapes


def colours_of(shapes: Mapping[str, list[ObjectData]]) -> dict[str, str]:
    """Give the colour of each category among the objects, as style sheets write it.

    >>> label = ObjectData(key="object_1", kind="line", points=[], desc="标签/可以识别")
    >>> colours_of({"图片_1": [label]})
    {'标签': '#ffeb3b'}
    """
    descs = (item["desc"] for objects in shapes.values() for item in objects)
    return {category(desc): "#{:02x}{:02x}{:02x}".format(*colour_of(desc)) for desc in descs}


def _lay_out(key: str, item: CaptionObject, desc: str) -> ObjectData:
    shape = item.shape
    is_box = isinstance(shape, Box)
    kind = "bbox_2d" if is_box else "line" if isinstance(shape, Line) else "poly"
    points = [shape.points[0], shape.points[2]] if is_box else list(shape.points)
    return {"key": key, "kind": kind, "points": points, "desc": desc}
