"""The second corner of a box stays beyond its first, digit by digit."""

from __future__ import annotations

import random

import pytest

from shenhe.engines.local.box_order import BoxOrder

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
    order = BoxOrder(1000)
    order.advance(START + text)
    assert order.in_box
    assert order.allows(next_text) == allowed


def test_everything_is_allowed_outside_boxes() -> None:
    order = BoxOrder(1000)
    for text in ('{"图片_1": {', '"object_1": {"quad": [9, 9, ', "1", '], "desc": "3, 2'):
        assert order.allows("0")
        order.advance(text)
        assert not order.in_box


def test_every_allowed_box_is_valid() -> None:
    rng = random.Random(3)
    for highest in (100, 1000):
        for _ in range(300):
            order = BoxOrder(highest)
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
