"""Which said object is which true one: by overlap, or for lines by how far apart they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import shapely
from shapely import LineString

from shenhe.geometry import Line, Shape, iou, kind_of
from shenhe.values import CaptionObject

LEAST_IOU = 0.5
MOST_FRECHET = 50.0
"""Lines further apart than this, in frame units, are not the same line."""
DENSIFY = 1 / 16
SAMPLES = 33


class Match(NamedTuple):
    """Places of a said and of a true object that are one."""

    said: int
    true: int


def match(said: Sequence[CaptionObject], true: Sequence[CaptionObject]) -> list[Match]:
    """Pair objects of the same geometry, the closest first, one to one; descs do not count."""
    closeness = sorted(
        (
            (_closeness(a.shape, b.shape), -i, -j)
            for i, a in enumerate(said)
            for j, b in enumerate(true)
            if type(a.shape) is type(b.shape)
        ),
        reverse=True,
    )
    free_said, free_true = set(range(len(said))), set(range(len(true)))
    found = []
    for close, i, j in closeness:
        if close < 0:
            break
        if -i in free_said and -j in free_true:
            free_said.remove(-i)
            free_true.remove(-j)
            found.append(Match(-i, -j))
    return sorted(found)


def frechet(first: Line, second: Line) -> float:
    """The discrete Frechet distance of two lines, whichever end each begins at. Units: frame."""
    a, b = LineString(first.points), LineString(second.points)
    return float(
        min(
            shapely.frechet_distance(a, b, densify=DENSIFY),
            shapely.frechet_distance(a, b.reverse(), densify=DENSIFY),
        )
    )


def chamfer(first: Line, second: Line) -> float:
    """The mean distance from points along each line to the other. Units: frame."""
    a, b = LineString(first.points), LineString(second.points)
    return (_mean_distance(a, b) + _mean_distance(b, a)) / 2


def _mean_distance(line: LineString, other: LineString) -> float:
    steps = [at / (SAMPLES - 1) for at in range(SAMPLES)]
    points = shapely.line_interpolate_point(line, steps, normalized=True)
    return float(shapely.distance(points, other).mean())


def _closeness(first: Shape, second: Shape) -> float:
    """0 to 1 for two that may be one object, below 0 for two that are not."""
    if isinstance(first, Line) and isinstance(second, Line):
        return 1 - frechet(first, second) / MOST_FRECHET
    assert kind_of(first) == kind_of(second)
    overlap = iou(first, second)
    return overlap if overlap >= LEAST_IOU else -1.0
