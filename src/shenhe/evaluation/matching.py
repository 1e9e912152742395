"""Matching of predicted to actual objects: by overlap, or for lines by their distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import shapely
from shapely import LineString

from shenhe.geometry import Line, Shape, iou
from shenhe.values import CaptionObject

MIN_IOU = 0.5
MAX_FRECHET = 50.0
"""Maximum distance, in frame units, of two lines that may be the same."""
DENSIFY = 1 / 16
SAMPLES = 33


class Match(NamedTuple):
    """Indices of a predicted and of an actual object that are the same."""

    predicted: int
    actual: int


def match(predicted: Sequence[CaptionObject], actual: Sequence[CaptionObject]) -> list[Match]:
    """Pair boxes, polygons and lines with their like, the closest first; descs do not count.

    [Match(predicted=0, actual=0)] == match([box], [box])
    """
    by_closeness = sorted(
        (
            (_closeness(a.shape, b.shape), -i, -j)
            for i, a in enumerate(predicted)
            for j, b in enumerate(actual)
            if type(a.shape) is type(b.shape)
        ),
        reverse=True,
    )
    free_predicted, free_actual = set(range(len(predicted))), set(range(len(actual)))
    matches = []
    for closeness, i, j in by_closeness:
        if closeness < 0:
            break
        if -i in free_predicted and -j in free_actual:
            free_predicted.remove(-i)
            free_actual.remove(-j)
            matches.append(Match(-i, -j))
    return sorted(matches)


def frechet(first: Line, second: Line) -> float:
    """Give the discrete Frechet distance of two lines in either direction. Units: frame."""
    a, b = LineString(first.points), LineString(second.points)
    return float(
        min(
            shapely.frechet_distance(a, b, densify=DENSIFY),
            shapely.frechet_distance(a, b.reverse(), densify=DENSIFY),
        )
    )


def chamfer(first: Line, second: Line) -> float:
    """Give the mean distance from points along each line to the other line. Units: frame."""
    a, b = LineString(first.points), LineString(second.points)
    return (_mean_distance(a, b) + _mean_distance(b, a)) / 2


def _mean_distance(line: LineString, target: LineString) -> float:
    steps = [index / (SAMPLES - 1) for index in range(SAMPLES)]
    points = shapely.line_interpolate_point(line, steps, normalized=True)
    return float(shapely.distance(points, target).mean())


def _closeness(first: Shape, second: Shape) -> float:
    """Rate two shapes: 0 to 1 if they may be one object, below 0 if not."""
    if isinstance(first, Line) and isinstance(second, Line):
        return 1 - frechet(first, second) / MAX_FRECHET
    overlap = iou(first, second)
    return overlap if overlap >= MIN_IOU else -1.0
