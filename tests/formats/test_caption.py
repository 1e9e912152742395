"""Grouped JSON, strict."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.geometry import Box, Line, Polygon, clockwise_from_top_left, crosses_itself
from shenhe.values import Caption, CaptionObject

coordinate = st.integers(0, 1000)
point = st.tuples(coordinate, coordinate)
boxes = st.tuples(st.integers(0, 499), st.integers(0, 499), st.integers(500, 1000)).map(
    lambda n: Box(n[0], n[1], n[2], n[2])
)
quads = (
    st.tuples(point, point, point, point)
    .map(lambda points: clockwise_from_top_left(Polygon(points)))
    .filter(lambda quad: not crosses_itself(quad))
)
lines = st.lists(point, min_size=2, max_size=6).map(lambda points: Line(tuple(points)))
objects = st.builds(
    CaptionObject, boxes | quads | lines, st.text(min_size=1).filter(lambda text: text.strip())
)
captions = st.lists(st.lists(objects, max_size=4).map(tuple), min_size=1, max_size=3).map(
    lambda photos: Caption(tuple(photos))
)


@given(captions)
def test_round_trip_is_stable_to_the_byte(value: Caption) -> None:
    text = caption.render(value)
    assert caption.parse(text) == value
    assert caption.render(caption.parse(text)) == text


def test_a_line_says_how_many_points_it_has() -> None:
    item = CaptionObject(Line(((1, 2), (3, 4), (5, 6))), "光纤/铠装")
    fields = '"line": [1, 2, 3, 4, 5, 6], "line_points": 3, "desc": "光纤/铠装"'
    assert caption.render(Caption(((item,),))) == _one(fields)


def test_zero_objects_is_a_caption() -> None:
    assert caption.parse('{"图片_1": {}, "图片_2": {}}', 2) == Caption(((), ()))


GOOD = '"bbox_2d": [1, 2, 3, 4], "desc": "a"'


def _one(fields: str) -> str:
    return '{"图片_1": {"object_1": {' + fields + "}}}"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("[]", "structure"),
        ("null", "structure"),
        ("{" * 5000, "not_json"),
        ("[" * 100_000, "not_json"),
        (_one(GOOD)[:-2], "not_json"),
        (_one(GOOD) + "。", "not_json"),
        ('{"图片_1": []}', "structure"),
        ('{"图片_2": {}}', "key_sequence"),
        ('{"图片_1": {}, "图片_1": {}}', "duplicate_key"),
        ('{"图片_1": {"object_2": {' + GOOD + "}}}", "key_sequence"),
        (_one('"desc": "a"'), "geometry_count"),
        (_one(GOOD + ', "quad": [1,2,3,4,5,6,7,8]'), "geometry_count"),
        (_one('"bbox_2d": [1, 2, 3], "desc": "a"'), "geometry"),
        (_one('"bbox_2d": [1, 2, 3, "4"], "desc": "a"'), "geometry"),
        (_one('"bbox_2d": [1, 2, 3, true], "desc": "a"'), "geometry"),
        (_one('"bbox_2d": [3, 2, 1, 4], "desc": "a"'), "geometry"),
        (_one('"bbox_2d": [1, 2, 3, 1004], "desc": "a"'), "range"),
        (_one('"bbox_2d": [-1, 2, 3, 4], "desc": "a"'), "range"),
        (_one('"quad": [9, 9, 1, 9, 1, 1, 9, 1], "desc": "a"'), "quad_order"),
        (_one('"quad": [1, 1, 1, 9, 9, 9, 9, 1], "desc": "a"'), "quad_order"),
        (_one('"quad": [1, 1, 9, 9, 9, 1, 1, 9], "desc": "a"'), "quad_crossing"),
        (_one('"quad": [1, 1, 5, 5, 9, 9, 3, 3], "desc": "a"'), "quad_crossing"),
        (_one('"bbox_2d": [' + "1" * 5000 + ', 2, 3, 4], "desc": "a"'), "not_json"),
        (_one('"line": [1, 2, 3, 4], "desc": "a"'), "structure"),
        (_one('"line": [1, 2, 3, 4], "line_points": 3, "desc": "a"'), "line_points"),
        (_one('"bbox_2d": [1, 2, 3, 4], "desc": " "'), "desc_empty"),
        (_one('"bbox_2d": [1, 2, 3, 4], "desc": 5'), "desc_empty"),
        (_one('"bbox_2d": [1, 2, 3, 4]'), "structure"),
        (_one(GOOD + ', "score": 1'), "structure"),
    ],
)
def test_what_is_wrong_is_named(text: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        caption.parse(text)
    assert caught.value.code == code


def test_photo_count() -> None:
    with pytest.raises(FormatError, match="expected 2 photos"):
        caption.parse('{"图片_1": {}}', 2)


@given(captions, st.data())
def test_mutations_raise_nothing_but_format_errors(value: Caption, data: st.DataObject) -> None:
    text = caption.render(value)
    at = data.draw(st.integers(0, len(text)))
    damaged = text[:at] + data.draw(st.text(max_size=5)) + text[at + data.draw(st.integers(0, 5)) :]
    with contextlib.suppress(FormatError):
        caption.parse(damaged)
