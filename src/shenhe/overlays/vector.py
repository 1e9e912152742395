"""The objects of a caption as SVG draws them over their photo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from shenhe.geometry import Line
from shenhe.overlays.draw import colour_of
from shenhe.values import CaptionObject


class DrawnObject(NamedTuple):
    """An object of a caption as SVG draws it. Units: a thousandth of the photo's sides.

    `left` and `top` are where its number stands. Units: per cent of the photo's sides.

        [f'<polygon points="{item.points}"/>' for item in draw_objects(objects) if item.closed]
    """

    points: str
    closed: bool
    colour: str
    left: float
    top: float
    desc: str


def draw_objects(objects: Iterable[CaptionObject]) -> list[DrawnObject]:
    """Give the objects of a photo as SVG draws them.

    Example:
        shapes = draw_objects(from_grouped(row.caption).photos[0])

    """
    drawn = []
    for item in objects:
        points = item.shape.points
        (left, top), *_ = points
        colour = "#{:02x}{:02x}{:02x}".format(*colour_of(item.desc))
        text = " ".join(f"{x:g},{y:g}" for x, y in points)
        closed = not isinstance(item.shape, Line)
        drawn.append(DrawnObject(text, closed, colour, left / 10, top / 10, item.desc))
    return drawn
