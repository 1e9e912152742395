"""Corners are held digit by digit: boxes stay upright, polygons never cross themselves."""

from __future__ import annotations

import math
import random
import re

import pytest

from shenhe.engines.local.corners import Corners
from shenhe.engines.local.open_corners import open_corners
from shenhe.engines.local.simple_polygon import Corner, closes, extends
from shenhe.geometry import Polygon, crosses_itself

START = '{"object_1": {"bbox_2d": ['


@pytest.mark.parametrize(
    ("text", "next_text", "allowed"),
    [
        ("", "1", True),
        ("100", "0", False),  # nothing lies beyond 1000
        ("99", "9", True),
        ("999, 5, ", "9", False),  # 9, 9x and 9xx: 999 itself is not beyond 999
        ("999, 5, ", "1", True),  # 1000
        ("999, 5, 1", "2", False),
        ("999, 5, 1000", ", ", True),
        ("300, 5, 3", "0", True),
        ("300, 5, 30", ", ", False),
        ("300, 5, 300", ", ", False),
        ("300, 5, 301", ", ", True),
        ("300, 5, ", "0", False),
        ("0, 0, ", "0", False),
        ("0, 0, 1, 1", "], ", True),
        ("0, 9, 1, 9", "], ", False),
        ("0, 9, 1, 9", "0], ", True),
        ("0, 9, 1, ", "12], ", True),
    ],
)
def test_allowed_digits(text: str, next_text: str, allowed: bool) -> None:
    order = Corners(1000)
    order.advance(START + text)
    assert order.in_shape
    assert order.allows(next_text) == allowed


def test_everything_is_allowed_outside_boxes() -> None:
    order = Corners(1000)
    for text in ('{"图片_1": {', '"object_1": {"line": [9, 9, ', "1", '], "desc": "3, 2'):
        assert order.allows("0")
        order.advance(text)
        assert not order.in_shape


def test_every_allowed_box_is_valid() -> None:
    rng = random.Random(3)
    for highest in (100, 1000):
        for _ in range(300):
            order = Corners(highest)
            numbers: list[int] = []
            order.advance(START)
            for at in range(4):
                digits = ""
                while True:
                    may = [d for d in "0123456789" if len(digits) < len(str(highest))]
                    may = [
                        d
                        for d in may
                        if (digits != "0" and int(digits + d) <= highest) and order.allows(d)
                    ]
                    end = "]" if at == 3 else ", "
                    if digits and order.allows(end):
                        may.append(end)
                    assert may, (numbers, digits)  # a continuation always exists
                    comes = rng.choice(may)
                    order.advance(comes)
                    if comes == end:
                        break
                    digits += comes
                numbers.append(int(digits))
            assert numbers[0] < numbers[2] <= highest
            assert numbers[1] < numbers[3] <= highest


QUAD, POLY, SIX = '"quad": [', '"poly": [', '"poly_points": 6, "poly": ['


def _is_simple(polygon: list[Corner]) -> bool:
    return len(polygon) > 2 and not crosses_itself(Polygon(tuple(polygon)))


def _refused_at(opening: str, polygon: list[Corner], highest: int = 1000) -> str:
    """Return what was written of a polygon when a piece of it was refused; empty if none was."""
    corners = Corners(highest)
    corners.advance(f'{{"object_1": {{{opening}')
    numbers = ", ".join(str(number) for corner in polygon for number in corner)
    written = ""
    pieces: list[str] = re.findall(r"[0-9]|, |\]", numbers + "]")
    for piece in pieces:
        if not corners.allows(piece):
            return written + piece
        corners.advance(piece)
        written += piece
    return ""


@pytest.mark.parametrize(
    ("opening", "polygon"),
    [
        (QUAD, [(100, 100), (300, 110), (310, 200), (90, 210)]),
        (QUAD, [(100, 100), (90, 210), (310, 200), (300, 110)]),  # the other way round
        (QUAD, [(0, 0), (1000, 0), (10, 10), (0, 1000)]),  # concave
        (QUAD, [(488, 74), (489, 75), (481, 77), (494, 79)]),
        (QUAD, [(0, 0), (500, 0), (1000, 0), (0, 1)]),  # a corner on a side
        (SIX, [(110, 95), (260, 80), (410, 100), (420, 330), (270, 350), (105, 325)]),
        # An L, a U from inside it, an arrow
        (SIX, [(0, 0), (500, 0), (500, 500), (1000, 500), (1000, 1000), (0, 1000)]),
        (POLY, [(10, 10), (10, 900), (900, 900), (900, 10), (600, 10), (600, 600), (300, 600)]),
        (POLY, [(500, 0), (1000, 500), (600, 400), (600, 1000), (400, 1000), (400, 400)]),
    ],
)
def test_sound_polygons_are_never_refused(opening: str, polygon: list[Corner]) -> None:
    assert _is_simple(polygon)
    assert _refused_at(opening, polygon) == ""


@pytest.mark.parametrize(
    ("opening", "polygon", "written"),
    [
        (QUAD, [(1, 1), (9, 9), (9, 1), (1, 9)], "1, 1, 9, 9, 9, 1, 1, 9"),
        (QUAD, [(5, 5), (5, 5), (9, 1), (1, 9)], "5, 5, 5, 5, "),
        (QUAD, [(5, 0), (5, 0), (9, 1), (1, 9)], "5, 0, 5, 0"),
        (QUAD, [(0, 0), (50, 0), (20, 0), (1, 9)], "0, 0, 50, 0, 20, 0"),
        (QUAD, [(0, 0), (1000, 0), (0, 1), (9, 9)], "0, 0, 1000, 0, 0, 1, "),
        (POLY, [(0, 0), (50, 0), (90, 0)], "0, 0, 50, 0, 90, 0]"),
        (POLY, [(10, 10), (50, 0), (50, 50), (10, 10)], "10, 10, 50, 0, 50, 50, 10, 10]"),
    ],
)
def test_what_no_sound_polygon_begins_with_is_refused(
    opening: str, polygon: list[Corner], written: str
) -> None:
    assert _refused_at(opening, polygon) == written


def _two_opt(rng: random.Random, count: int) -> list[Corner]:
    """Return a random polygon of many concave corners."""
    points = sorted({(rng.randint(0, 1000), rng.randint(0, 1000)) for _ in range(count)})
    rng.shuffle(points)
    changed = True
    while changed:
        changed = False
        for i in range(len(points) - 1):
            for j in range(i + 2, len(points)):
                a, b, c, d = points[i], points[i + 1], points[j], points[(j + 1) % len(points)]
                before, after = math.dist(a, b) + math.dist(c, d), math.dist(a, c) + math.dist(b, d)
                if a != d and after < before - 1e-9:
                    points[i + 1 : j + 1] = points[i + 1 : j + 1][::-1]
                    changed = True
    return points


def test_random_polygons_of_many_corners_are_not_refused() -> None:
    rng = random.Random(3)
    for count in (4, 5, 6, 8, 12, 16) * 6:
        polygon = _two_opt(rng, count)
        if _is_simple(polygon):
            for opening in (POLY, f'"poly_points": {len(polygon)}, "poly": ['):
                assert _refused_at(opening, polygon) == "", polygon


def test_whatever_is_allowed_ends_as_a_sound_polygon() -> None:
    rng = random.Random(4)
    for highest, count in ((1000, 4), (100, 4), (1000, 0), (1000, 7), (12, 5), (12, 0)) * 12:
        corners = Corners(highest)
        corners.advance(f'"poly_points": {count}, "poly": [' if count > 4 else POLY)
        if count == 4:
            corners = Corners(highest)
            corners.advance(QUAD)
        polygon = _write_any(rng, corners, highest, count)
        assert _is_simple(polygon), polygon
        assert len(polygon) == (count or len(polygon))


def _write_any(rng: random.Random, corners: Corners, highest: int, count: int) -> list[Corner]:
    numbers, digits = list[int](), ""
    while True:
        may = [d for d in "0123456789" if digits != "0" and int(digits + d) <= highest]
        whole, odd = divmod(len(numbers) + 1, 2)
        if digits and (odd or whole != (count or 64)):
            may.append(", ")
        if digits and not odd and (whole == count or (not count and whole > 2)):
            may += ["]"] * 3
        may = [piece for piece in dict.fromkeys(rng.sample(may, len(may))) if corners.allows(piece)]
        assert may, (numbers, digits)  # a continuation always exists
        corners.advance(may[0])
        if may[0] in "0123456789":
            digits += may[0]
            continue
        numbers, digits = [*numbers, int(digits)], ""
        if may[0] == "]":
            return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_open_corners_are_all_columns_in_which_a_corner_is_open() -> None:
    rng = random.Random(5)
    for _ in range(300):
        highest = rng.choice((3, 5, 9))
        chain = [(rng.randint(0, highest), rng.randint(0, highest))]
        for _ in range(rng.randint(4, 20)):
            corner = (rng.randint(0, highest), rng.randint(0, highest))
            chain += [corner] * extends(chain, corner)
        if len(chain) < 2:
            continue
        span = (0, highest)
        for closing in (False, True):
            exact = {
                (x, y)
                for x in range(highest + 1)
                for y in range(highest + 1)
                if extends(chain, (x, y)) and (not closing or closes([*chain, (x, y)]))
            }
            assert all(not closing or _is_simple([*chain, corner]) for corner in exact)
            found = set(open_corners(chain, [span], [span], closing=closing))
            assert found <= exact
            assert {x for x, _ in found} == {x for x, _ in exact}
