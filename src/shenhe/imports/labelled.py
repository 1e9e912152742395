"""A photo with labels as a tool names it, placed in the frame of captions.

Coordinates count on the photo as the tool showed it: upright, or as it is stored where the size
that the tool noted is that of a stored photo on its side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shenhe import photos
from shenhe.errors import FormatError, PhotoError
from shenhe.formats.desc import category
from shenhe.geometry import (
    FRAME,
    MAX_CORNERS,
    Box,
    Line,
    Point,
    Polygon,
    Shape,
    Size,
    clip,
    clockwise_from_top_left,
    crosses_itself,
    from_numbers,
    from_pixels,
    is_clockwise_from_top_left,
    thinned,
    to_numbers,
    without_repeats,
)
from shenhe.imports.photo_files import PhotoFinder, is_file
from shenhe.imports.turning import turned_upright
from shenhe.photos import StoredSize
from shenhe.values import Annotation, CaptionObject

MAX_BEYOND: Final = 20.0
"""Frame units by which a point may lie beyond the edge of a photo, to be moved to it."""
MOVE: Final = 0.01
"""Frame units from which on a point counts as moved."""
MAX_LINE_POINTS: Final = 1000
SAME_ASPECT: Final = 0.01
"""Relative difference of aspect ratios up to which a photo is the labelled one at another size."""
TIE: Final = 1.0
"""Frame units by which a first corner may be further from the top left than another one."""
FIRST_TOLERANCE: Final = 0.25
"""Pixels by which an outline of too many corners may first be moved, to leave some out."""
THINNED = f"outlines of more than {MAX_CORNERS} corners: as many left out as were needed"
MOVED = "points beyond the edge of the photo: moved to it"
NOT_FOUND = "photos that were not found: their labels are there all the same"
OTHER_DESC = "descriptions that begin with another category than the label: the label counts"


@dataclass(frozen=True, slots=True)
class LabelledPhoto:
    """A photo and its labels. Units: pixels of a photo of `size_wh`, as the tool showed it.

    `names` are the names that the photo may have, the most exact first. `size_wh` is None where
    the tool notes none; coordinates may then have a unit of their own, of which the photo has
    `units_wh`.
    """

    names: Sequence[str]
    size_wh: Size | None
    objects: Sequence[CaptionObject]
    units_wh: Size | None = None


Entries = Iterator[tuple[str, Callable[[], LabelledPhoto | None]]]
"""The name of each entry of a source, for errors, and a reader of it: it may raise, or give None
where the entry is no labelled photo."""


def box(x1: float, y1: float, x2: float, y2: float) -> Box:
    """Make a box of two opposite corners, whichever they are.

    Raises: GeometryError if it is empty.

    >>> box(30, 40, 10, 20)
    Box(x1=10, y1=20, x2=30, y2=40)
    """
    numbers = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    shape = from_numbers("bbox_2d", numbers)
    assert isinstance(shape, Box)
    return shape


def polygon(points: Sequence[Point], lost: Counter[str]) -> Polygon:
    """Make a polygon of corners in any order round it; of too many, corners are left out.

    Raises: GeometryError for too few corners; FormatError if it crosses itself.
    """
    corners = without_repeats(points)
    if len(corners) > MAX_CORNERS:
        corners = thinned(corners, FIRST_TOLERANCE)
        lost[THINNED] += 1
    shape = from_numbers("poly", [number for point in corners for number in point])
    assert isinstance(shape, Polygon)
    if crosses_itself(shape):
        raise FormatError("geometry", f"a polygon crosses itself or has no area: {corners[:4]}")
    return shape


def line(points: Sequence[Point]) -> Line:
    """Make a line.

    Raises: GeometryError for too few points; FormatError for too many.
    """
    if len(points) > MAX_LINE_POINTS:
        raise FormatError("geometry", f"a line of {len(points)} points")
    shape = from_numbers("line", [number for point in points for number in point])
    assert isinstance(shape, Line)
    return shape


def desc_of(label: str, description: str, lost: Counter[str]) -> str:
    """Choose the desc of an object: a description that goes on from the label, or the label.

    Raises: FormatError if there is neither, or for one that could pose as part of a prompt.

    >>> desc_of("标签", "标签/4G", Counter()), desc_of("挡风板", "", Counter())
    ('标签/4G', '挡风板')
    """
    label, description = label.strip(), description.strip()
    if not label and not description:
        raise FormatError("desc_empty", "an object has no label")
    for text in (label, description):
        if "<|" in text or len(text.splitlines()) > 1:
            raise FormatError("desc", f"a label holds a line break or special token: {text[:40]!r}")
    if not label or description in ("", label):
        return label or description
    if category(description) == category(label):
        return description
    lost[OTHER_DESC] += 1
    return label


def place(labelled: LabelledPhoto, finder: PhotoFinder, lost: Counter[str]) -> Annotation:
    """Find a photo, and put its labels into the frame of the upright photo.

    Units: pixels of the labelled photo in, 0-1000 out.
    Raises: FormatError, GeometryError; UsageError for an impossible name.
    """
    path = finder.find(labelled.names)
    seen = _see(path) if is_file(path) else None
    if seen is None:
        lost[NOT_FOUND] += 1
        if labelled.size_wh is None:
            raise FormatError("size", f"{path} is not there, and its size is not told")
        size, orientation = labelled.size_wh, 1
    else:
        size, orientation = _frame(path, labelled.size_wh, seen)
    told = labelled.units_wh or labelled.size_wh or size
    objects = tuple(
        CaptionObject(in_frame(item.shape, told, lost, orientation), item.desc)
        for item in labelled.objects
    )
    return Annotation(path, size, objects)


def _see(path: Path) -> StoredSize | None:
    """Give the stored size of a photo; None if it is no photo."""
    try:
        return photos.read_stored_size(path)
    except PhotoError:
        return None


def _frame(path: Path, told: Size | None, seen: StoredSize) -> tuple[Size, int]:
    """Choose the photo's upright size, and the orientation of the labels: 1 if they are upright.

    Raises: FormatError if the labels are of another photo.
    """
    upright = seen.upright
    if told is None or _like(told, upright):
        return upright, 1
    if _like(told, seen.stored):
        return upright, seen.orientation
    raise FormatError(
        "size",
        f"the labels are of a photo of {told.width} x {told.height},"
        f" {path} has {upright.width} x {upright.height}",
    )


def _like(told: Size, size: Size) -> bool:
    """Whether two sizes may be of one photo, scaled; a rounded side may be off by a pixel."""
    slack = max(SAME_ASPECT, 1 / min(told), 1 / min(size))
    return abs(told.width * size.height / (told.height * size.width) - 1) <= slack


def in_frame(shape: Shape, told: Size, lost: Counter[str], orientation: int = 1) -> Shape:
    """Put a shape into the frame of the upright photo.

    Units: pixels of the labelled photo in, 0-1000 out.
    Raises: FormatError for a shape beyond the photo, or one that crosses itself; GeometryError.
    """
    placed = from_pixels(shape, told)
    numbers = to_numbers(placed)
    if not all(-MAX_BEYOND <= number <= FRAME + MAX_BEYOND for number in numbers):
        raise FormatError("range", f"an object lies beyond its photo: {to_numbers(shape)[:8]}")
    inside = clip(placed)
    pairs = zip(numbers, to_numbers(inside), strict=True)
    lost[MOVED] += sum(abs(before - after) > MOVE for before, after in pairs)
    corners = [turned_upright(point, orientation, FRAME) for point in inside.points]
    if isinstance(inside, Box):
        return box(*corners[0], *corners[2])
    if isinstance(inside, Line):
        return line(corners)
    return _in_order(polygon(corners, lost))


def _in_order(shape: Polygon) -> Polygon:
    """Put corners in the order of the format, unless all but rounding says that they are."""
    sums = [x + y for x, y in shape.points]
    rotated = clockwise_from_top_left(shape)
    is_tie = sums[0] <= min(sums) + TIE
    is_clockwise = is_clockwise_from_top_left(rotated) and _same_direction(shape, rotated)
    return shape if is_tie and is_clockwise else rotated


def _same_direction(shape: Polygon, rotated: Polygon) -> bool:
    start = shape.points.index(rotated.points[0])
    return shape.points[start:] + shape.points[:start] == rotated.points
