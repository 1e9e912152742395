"""Points of a photo as it is stored, turned with it until it is upright."""

from __future__ import annotations

from math import cos, sin

from shenhe.geometry import Point


def turned_upright(point: Point, orientation: int, side: float) -> Point:
    """Turn a point of a stored photo as its EXIF orientation turns the photo.

    Units: shares of the photo's sides, `side` for a whole one, before and after.

    >>> turned_upright((100, 0), 6, 1000)
    (1000, 100)
    """
    x, y = point
    return {
        2: (side - x, y),
        3: (side - x, side - y),
        4: (x, side - y),
        5: (y, x),
        6: (side - y, x),
        7: (side - y, side - x),
        8: (y, side - x),
    }.get(orientation, point)


def rotated_box(
    corner: Point, sides: tuple[float, float], angle: float, centre: Point
) -> list[Point]:
    """Turn a box round a point, clockwise as one sees it.

    Units: `angle` in radians. Returns its corners, the one that was the top left first.

    >>> [(round(x), round(y)) for x, y in rotated_box((0, 0), (2, 1), 1.5708, (0, 0))]
    [(0, 0), (0, 2), (-1, 2), (-1, 0)]
    """
    (left, top), (width, height), (cx, cy) = corner, sides, centre
    right, bottom = left + width, top + height
    return [
        (
            cx + (x - cx) * cos(angle) - (y - cy) * sin(angle),
            cy + (x - cx) * sin(angle) + (y - cy) * cos(angle),
        )
        for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]
