"""Box, Polygon and Line in one frame: 0-1000 of the upright photo, x to the right, y down."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import shapely
from shapely.geometry.base import BaseGeometry

from shenhe.errors import GeometryError

FRAME = 1000
LINE_HALF_WIDTH = 25.0
"""Frame units on each side of a line that count as its area when overlap is measured."""
MIN_CORNERS, MAX_CORNERS = 3, 64
"""Corners of a polygon."""

Point = tuple[float, float]


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle, x1 < x2 and y1 < y2."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def points(self) -> tuple[Point, ...]:
        """The four corners, clockwise from the top left."""
        return ((self.x1, self.y1), (self.x2, self.y1), (self.x2, self.y2), (self.x1, self.y2))

    def map_points(self, transform: Callable[[float, float], Point]) -> Self:
        """Transform every corner; `transform` must keep the sides upright."""
        return type(self)(*transform(self.x1, self.y1), *transform(self.x2, self.y2))


@dataclass(frozen=True, slots=True)
class Polygon:
    """MIN_CORNERS to MAX_CORNERS corners, clockwise from the top left; a quad has four.

    The last corner is joined to the first, which is not repeated.
    """

    points: tuple[Point, ...]

    def map_points(self, transform: Callable[[float, float], Point]) -> Self:
        """Transform every corner."""
        return type(self)(tuple(transform(x, y) for x, y in self.points))


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline of two points or more."""

    points: tuple[Point, ...]

    def map_points(self, transform: Callable[[float, float], Point]) -> Self:
        """Transform every point."""
        return type(self)(tuple(transform(x, y) for x, y in self.points))


Shape = Box | Polygon | Line
GEOMETRIES = ("bbox_2d", "quad", "poly", "line")
"""Keys that shapes are written under."""
COUNT_KEYS = {"poly": "poly_points", "line": "line_points"}
"""Keys of the number of points that stands beside a shape, by the shape's key."""


def from_numbers(kind: str, numbers: Iterable[float]) -> Shape:
    """Make a shape of the flat numbers that models and training rows write.

    Shape: `bbox_2d` 4 numbers, `quad` 8, `poly` 2n with n from 3 to 64, `line` 2n with n >= 2.
    Units: unchanged.
    Raises: GeometryError for a wrong count of numbers, an inverted box or an unknown kind.

        >>> from_numbers("bbox_2d", [10, 20, 30, 40])
        Box(x1=10, y1=20, x2=30, y2=40)
    """
    flat = tuple(numbers)
    points = tuple(zip(flat[::2], flat[1::2], strict=False))
    if kind == "bbox_2d":
        if len(flat) != 4:
            raise GeometryError(f"bbox_2d needs 4 numbers, got {len(flat)}")
        x1, y1, x2, y2 = flat
        if x1 >= x2 or y1 >= y2:
            raise GeometryError(f"bbox_2d {list(flat)} is inverted or empty")
        return Box(x1, y1, x2, y2)
    if kind == "quad":
        if len(flat) != 8:
            raise GeometryError(f"quad needs 8 numbers, got {len(flat)}")
        return Polygon(points)
    if kind == "poly":
        if len(flat) % 2 or not MIN_CORNERS <= len(points) <= MAX_CORNERS:
            raise GeometryError(
                f"poly needs two numbers for each of {MIN_CORNERS} to {MAX_CORNERS} corners,"
                f" got {len(flat)} numbers"
            )
        return Polygon(points)
    if kind == "line":
        if len(flat) < 4 or len(flat) % 2:
            raise GeometryError(f"line needs an even count of at least 4 numbers, got {len(flat)}")
        return Line(points)
    raise GeometryError(f"unknown geometry {kind!r}: use bbox_2d, quad, poly or line")


def to_numbers(shape: Shape) -> list[float]:
    """Flatten a shape: the inverse of `from_numbers`.

    Shape: 4, 8 or 2n numbers, x and y alternating.
    """
    if isinstance(shape, Box):
        return [shape.x1, shape.y1, shape.x2, shape.y2]
    return [value for point in shape.points for value in point]


def shape_key(shape: Shape) -> str:
    """Return the key of a shape: bbox_2d, quad for four corners, else poly; or line.

    >>> shape_key(Polygon(((0, 0), (9, 0), (5, 5))))
    'poly'
    """
    if isinstance(shape, Box):
        return "bbox_2d"
    if isinstance(shape, Line):
        return "line"
    return "quad" if len(shape.points) == 4 else "poly"


def to_fields(shape: Shape) -> dict[str, object]:
    """Write a shape as rows do: its numbers under its key, and the number of points beside it.

    >>> to_fields(Line(((1, 2), (3, 4))))
    {'line': [1, 2, 3, 4], 'line_points': 2}
    """
    key = shape_key(shape)
    count = {COUNT_KEYS[key]: len(shape.points)} if key in COUNT_KEYS else {}
    return {key: to_numbers(shape), **count}


def scale(shape: Shape, x_factor: float, y_factor: float) -> Shape:
    """Multiply every x by one factor and every y by another."""
    return shape.map_points(lambda x, y: (x * x_factor, y * y_factor))


def to_pixels(shape: Shape, size_wh: Size) -> Shape:
    """Place a model's shape on its upright photo.

    Units: 0-1000 in, pixels out.
    Source: Qwen3-VL writes coordinates relative to 1000, whatever the photo is resized to.

        >>> to_pixels(Box(0, 500, 1000, 1000), Size(640, 480))
        Box(x1=0.0, y1=240.0, x2=640.0, y2=480.0)
    """
    return scale(shape, size_wh[0] / FRAME, size_wh[1] / FRAME)


def from_pixels(shape: Shape, size_wh: Size) -> Shape:
    """Convert a shape in pixels of an upright photo: the inverse of `to_pixels`.

    Units: pixels in, 0-1000 out.
    """
    return scale(shape, FRAME / size_wh[0], FRAME / size_wh[1])


def round_coordinates(shape: Shape) -> Shape:
    """Round every coordinate to a whole number, as models write them."""
    return shape.map_points(lambda x, y: (round(x), round(y)))


def clip(shape: Shape, limit: float = FRAME) -> Shape:
    """Move every coordinate outside 0..limit to the nearest edge."""
    return shape.map_points(lambda x, y: (min(max(x, 0), limit), min(max(y, 0), limit)))


def is_clockwise_from_top_left(polygon: Polygon) -> bool:
    """Whether corners are clockwise and begin with the one nearest to the top left."""
    sums = [x + y for x, y in polygon.points]
    return _signed_area(polygon) >= 0 and sums[0] == min(sums)


def clockwise_from_top_left(polygon: Polygon) -> Polygon:
    """Put corners in the order of the format; the outline is unchanged.

    >>> clockwise_from_top_left(Polygon(((9, 9), (9, 0), (0, 0)))).points
    ((0, 0), (9, 0), (9, 9))
    """
    points = polygon.points if _signed_area(polygon) >= 0 else polygon.points[::-1]
    first = min(range(len(points)), key=lambda index: (sum(points[index]), points[index][1]))
    return Polygon(points[first:] + points[:first])


def without_repeats(points: Sequence[Point]) -> tuple[Point, ...]:
    """Leave out corners that repeat the one before them; the last stands before the first.

    >>> without_repeats([(0, 0), (9, 0), (9, 0), (5, 5), (0, 0)])
    ((0, 0), (9, 0), (5, 5))
    """
    kept = [point for index, point in enumerate(points) if not index or point != points[index - 1]]
    while len(kept) > 1 and kept[-1] == kept[0]:
        kept.pop()
    return tuple(kept)


def thinned(points: Sequence[Point], tolerance: float) -> tuple[Point, ...]:
    """Leave out corners of an outline, MAX_CORNERS at most, by the least tolerance that does.

    `tolerance` is the first one tried, and is doubled. An outline that crosses itself stays as it
    is.  Units: those of the points.

    >>> len(thinned([(x, x * x) for x in range(100)], 0.5)) <= MAX_CORNERS
    True
    """
    outline = shapely.Polygon(points)
    corners = tuple(points)
    while outline.is_valid and len(corners) > MAX_CORNERS and math.isfinite(tolerance):
        simple = outline.simplify(tolerance, preserve_topology=True)
        corners = tuple((x, y) for x, y in simple.exterior.coords[:-1])
        tolerance *= 2
    return corners


def rectangle_around(polygon: Polygon) -> Polygon:
    """Return the smallest rectangle around a polygon, at any angle, clockwise from the top left.

    >>> rectangle_around(Polygon(((0, 0), (8, 0), (8, 4), (4, 3), (0, 4)))).points
    ((0.0, 0.0), (8.0, 0.0), (8.0, 4.0), (0.0, 4.0))
    """
    corners = shapely.oriented_envelope(shapely.Polygon(polygon.points)).exterior.coords[:-1]
    return clockwise_from_top_left(Polygon(tuple((x, y) for x, y in corners)))


def crosses_itself(polygon: Polygon) -> bool:
    """Whether the sides of a polygon cross, touch or coincide, or a corner is repeated.

    >>> crosses_itself(Polygon(((0, 0), (9, 9), (9, 0), (0, 9))))
    True
    """
    repeats = len(set(polygon.points)) < len(polygon.points)
    return repeats or not shapely.Polygon(polygon.points).is_valid


def _signed_area(polygon: Polygon) -> float:
    """Return twice the signed area: positive if the corners are clockwise, y pointing down."""
    following = polygon.points[1:] + polygon.points[:1]
    pairs = zip(polygon.points, following, strict=True)
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)


def region(shape: Shape) -> BaseGeometry:
    """Return the region that a shape covers; a line is LINE_HALF_WIDTH wide on each side."""
    if isinstance(shape, Line):
        return shapely.LineString(shape.points).buffer(LINE_HALF_WIDTH, cap_style="flat")
    polygon = shapely.Polygon(shape.points)
    return polygon if polygon.is_valid else polygon.buffer(0)


def area(shape: Shape) -> float:
    """Return the area that a shape covers. Units: those of the shape, squared."""
    return float(region(shape).area)


def iou(first: Shape, second: Shape) -> float:
    """Return the intersection over union of two shapes, 0 to 1.

    >>> iou(Box(0, 0, 10, 10), Box(0, 0, 10, 20))
    0.5
    """
    a, b = region(first), region(second)
    union = a.union(b).area
    return float(a.intersection(b).area / union) if union else 0.0
