"""Flags of photos among those of their group."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from shenhe.messages import PhotoFacts
from shenhe.photos.flags import (
    FLAGS,
    LIMITS,
    far_in_space,
    far_in_time,
    flag_photos,
    is_before,
    order_date,
)
from shenhe.values import ReusedPhoto

GOOD = PhotoFacts(
    content_hash="a" * 64,
    perceptual_hash="5" * 16,
    sharpness=1.5,
    brightness=120.0,
    captured_at="2023-02-22T10:00:00",
)
ORDER = "QC-20230222-0000297"
PLACE = (31.23, 121.47)


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        ({}, []),
        ({"sharpness": 0.1}, ["blurred"]),
        ({"sharpness": 0.1, "perceptual_hash": None}, []),
        ({"brightness": 3.0}, ["dark"]),
        ({"brightness": 3.0, "sharpness": 0.1}, ["dark"]),
        ({"screenshot": True}, ["screenshot"]),
        ({"damaged_inside": "Corrupt JPEG data"}, ["damaged_inside"]),
        ({"captured_at": "2023-02-20T23:59:59+08:00"}, ["old"]),
        ({"captured_at": "2023-02-21T00:00:00"}, []),
        ({"captured_at": "no time at all"}, []),
        ({"captured_at": "2019-01-01T00:00:00", "screenshot": True}, ["old", "screenshot"]),
    ],
)
def test_flags_of_one_photo(change: dict[str, object], flags: list[str]) -> None:
    assert flag_photos(ORDER, [replace(GOOD, **change)]) == [flags]  # type: ignore[arg-type]


def test_flags_by_its_fellows_and_by_its_use() -> None:
    photos = [
        GOOD,
        replace(GOOD, captured_at=None, gps=PLACE),
        replace(GOOD, content_hash="b" * 64, captured_at="2023-04-01T08:00:00", gps=PLACE),
        None,
        replace(GOOD, content_hash="c" * 64, captured_at=None, gps=(31.99, 121.47)),
        replace(GOOD, content_hash="d" * 64, captured_at="2023-02-22T11:00:00"),
    ]
    uses = [
        ReusedPhoto("图片_1", "QC-9", "m"),
        ReusedPhoto("图片_3", "QC-9", "m", same_content=False),
        ReusedPhoto("图片_6", ORDER, "other", same_order=True),
        ReusedPhoto("图片_6", ORDER, "other", same_content=False, same_order=True),
    ]
    flags = flag_photos(ORDER, photos, uses)
    assert flags == [
        ["reused", "repeated"],
        ["repeated"],
        ["near_duplicate", "apart_in_time"],
        [],
        ["apart_in_space"],
        ["shared"],
    ]
    assert {flag for found in flags for flag in found} <= set(FLAGS)


@pytest.mark.parametrize(
    ("group_id", "day"),
    [
        (ORDER, date(2023, 2, 22)),
        ("2024-02-29 A站", date(2024, 2, 29)),
        ("QC-20230229-1", None),
        ("QC-20231301-1", None),
        ("QC-120230222", None),
        ("20230222-20230223", None),
        ("20230222-20230222", date(2023, 2, 22)),
        ("", None),
    ],
)
def test_date_of_an_order(group_id: str, day: date | None) -> None:
    assert order_date(group_id) == day


def test_before_far_and_apart() -> None:
    assert not is_before(None, date(2023, 2, 22), 1)
    assert far_in_time([], 7) == []
    assert far_in_time(["2023-01-01T00:00:00", "2023-01-09T00:00:01"], 7) == [0, 1]
    assert far_in_time(["2023-01-01T00:00:00+14:00", "2023-01-08T00:00:00-11:00"], 7) == []
    assert far_in_space([PLACE, None, (31.23, 121.49)], LIMITS.metres_apart) == [0, 2]
    assert far_in_space([(0.0, 179.9999), (0.0, -179.9999), (0.0, 180.0)], 1000) == []
    assert far_in_space([PLACE] * 5000 + [(40.0, 116.0)], 1000) == [5000]
