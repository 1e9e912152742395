"""Shapes in one frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.errors import GeometryError
from shenhe.geometry import (
    Box,
    Line,
    Polygon,
    Size,
    area,
    clip,
    from_numbers,
    from_pixels,
    iou,
    shape_key,
    to_fields,
    to_numbers,
    to_pixels,
)

coordinates = st.integers(0, 1000)


def test_box_on_its_photo() -> None:
    assert to_pixels(Box(0, 250, 500, 1000), Size(640, 512)) == Box(0, 128, 320, 512)


@given(st.lists(coordinates, min_size=8, max_size=8), st.integers(1, 9000), st.integers(1, 9000))
def test_pixels_and_back(numbers: list[int], width: int, height: int) -> None:
    quad = from_numbers("quad", numbers)
    moved = from_pixels(to_pixels(quad, Size(width, height)), Size(width, height))
    assert to_numbers(moved) == pytest.approx(numbers)


@given(st.lists(coordinates, min_size=6, max_size=128).filter(lambda numbers: not len(numbers) % 2))
def test_a_polygon_of_numbers_and_back(numbers: list[int]) -> None:
    polygon = from_numbers("poly", numbers)
    assert shape_key(polygon) == ("quad" if len(numbers) == 8 else "poly")
    fields = to_fields(polygon)
    assert fields[shape_key(polygon)] == to_numbers(polygon) == numbers
    assert fields.get("poly_points", 4) == len(numbers) // 2


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("bbox_2d", [1, 2, 3]),
        ("bbox_2d", [5, 5, 5, 9]),
        ("bbox_2d", [9, 1, 2, 5]),
        ("quad", [0, 0, 1, 1]),
        ("poly", [0, 0, 1, 1]),
        ("poly", [0, 0, 1, 1, 2, 0, 5]),
        ("poly", [1, 2] * 65),
        ("line", [1, 2]),
        ("line", [1, 2, 3, 4, 5]),
        ("circle", [1, 2, 3]),
    ],
)
def test_numbers_that_are_no_shape(kind: str, numbers: list[float]) -> None:
    with pytest.raises(GeometryError):
        from_numbers(kind, numbers)


def test_overlap() -> None:
    box = Box(0, 0, 100, 100)
    assert iou(box, box) == 1
    assert iou(box, Box(50, 0, 150, 100)) == pytest.approx(1 / 3)
    assert iou(box, Box(200, 200, 300, 300)) == 0
    assert iou(box, Polygon(((0, 0), (100, 0), (100, 100), (0, 100)))) == pytest.approx(1)


def test_lines_overlap_by_their_neighbourhood() -> None:
    line = Line(((0, 0), (1000, 0)))
    assert iou(line, Line(((0, 25), (1000, 25)))) == pytest.approx(1 / 3)
    assert area(line) == pytest.approx(50_000)


def test_a_quad_that_crosses_itself_has_an_area() -> None:
    assert area(Polygon(((0, 0), (100, 100), (100, 0), (0, 100)))) > 0


def test_clip() -> None:
    assert clip(Box(-5, 10, 1200, 900)) == Box(0, 10, 1000, 900)
    assert clip(Line(((-1, 0), (2000, 5)))) == Line(((0, 0), (1000, 5)))
