"""Captions of formats that a checkpoint was trained on: headers, no keys of photos, polygons."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shenhe.config import load_formats, load_prompts
from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.formats.caption_grammar import of_caption
from shenhe.formats.caption_recovery import recover
from shenhe.formats.closing import close_truncated
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.geometry import Box, Line, Polygon, clockwise_from_top_left, crosses_itself
from shenhe.stages import caption as stage
from shenhe.values import Caption, CaptionObject
from tests.formats.test_grammars import takes

DOMAIN = load_formats("domain").caption
HEADER = "<DOMAIN=BBU>, <TASK=DETECTION>"
SIX = Polygon(((110, 95), (260, 80), (410, 100), (420, 330), (270, 350), (105, 325)))
QUAD = Polygon(((1, 2), (9, 3), (8, 9), (0, 8)))
FORMS = [PLAIN.caption, DOMAIN, CaptionFormat(polygons="poly"), CaptionFormat(photo_keys=False)]
point = st.tuples(st.integers(0, 1000), st.integers(0, 1000))
polygons = (
    st.lists(point, min_size=3, max_size=6)
    .map(lambda points: clockwise_from_top_left(Polygon(tuple(points))))
    .filter(lambda polygon: not crosses_itself(polygon))
)
objects = st.builds(CaptionObject, polygons, st.just("类别=标签,文字=4G-1"))


@settings(max_examples=40)
@given(st.lists(objects, max_size=3).map(tuple), st.sampled_from(FORMS), st.booleans())
def test_polygons_in_every_format(
    photo: tuple[CaptionObject, ...], form: CaptionFormat, compact: bool
) -> None:
    value = Caption((photo,))
    text = caption.render(value, form)
    assert caption.parse(text, 1, form=form) == value
    assert caption.render(caption.parse(text, 1, form=form), form) == text
    assert len(set(photo)) < len(photo) or recover(text, 1, form=form) == (value, (), False)
    grammar = of_caption(1, form=form)
    assert re.fullmatch(grammar.regex, text)
    if compact:
        header, _, body = text.rpartition("\n")
        body = json.dumps(json.loads(body), ensure_ascii=False, separators=(",", ":"))
        text = f"{header}\n{body}" if header else body
    assert takes(grammar, text)
    assert close_truncated(text, grammar) == text
    for cut in range(len(HEADER) + 1, len(text), 7):
        closed = close_truncated(text[:cut], grammar)
        (kept,) = caption.parse(closed, 1, form=form).photos
        assert kept == photo[: len(kept)]


def test_a_quad_is_written_under_the_key_of_the_format() -> None:
    value = Caption(((CaptionObject(QUAD, "a"),),))
    quad = '{"图片_1": {"object_1": {"quad": [1, 2, 9, 3, 8, 9, 0, 8], "desc": "a"}}}'
    poly = quad.replace("quad", "poly").replace("], ", '], "poly_points": 4, ')
    assert caption.render(value) == caption.render(value, CaptionFormat(polygons="quad")) == quad
    assert caption.render(value, CaptionFormat(polygons="poly")) == poly
    assert caption.parse(poly) == caption.parse(quad) == value  # plain reads either
    for form, text, repair in (
        (CaptionFormat(polygons="poly"), quad, "quad_as_poly"),
        (CaptionFormat(polygons="quad"), poly, "poly_as_quad"),
    ):
        with pytest.raises(FormatError, match="polygons are written as"):
            caption.parse(text, form=form)
        recovery = recover(text, 1, form=form)
        assert recovery.caption == value
        assert [kind.kind for kind in recovery.repairs][:1] == [repair]
        assert not takes(of_caption(1, form=form), text)
    with pytest.raises(FormatError, match="6 corners"):
        caption.render(Caption(((CaptionObject(SIX, "a"),),)), CaptionFormat(polygons="quad"))


FIELDS = '"poly": [110, 95, 260, 80, 410, 100, 420, 330, 270, 350, 105, 325], "desc": "a"'
COUNTED = FIELDS.replace(', "desc"', ', "poly_points": 6, "desc"')
BEFORE = f'"poly_points": 6, {FIELDS}'


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (COUNTED, ""),
        (BEFORE, ""),
        (FIELDS, "structure"),
        (COUNTED.replace("6,", "5,"), "poly_points"),
        (BEFORE.replace("6,", "7,"), "poly_points"),
        (COUNTED.replace("270, 350, ", ""), "poly_points"),
        (COUNTED.replace("260, 80, 410, 100", "410, 100, 260, 80"), "poly_crossing"),
        (COUNTED.replace("260, 80, 410", "110, 95, 410"), "poly_crossing"),
        ('"poly": [0, 0, 5, 5, 9, 9], "poly_points": 3, "desc": "a"', "poly_crossing"),
        ('"poly": [9, 9, 0, 0, 9, 0], "poly_points": 3, "desc": "a"', "poly_order"),
        ('"poly": [0, 0, 9, 9], "poly_points": 2, "desc": "a"', "geometry"),
        (f'"poly": {list(range(130))}, "poly_points": 65, "desc": "a"', "geometry"),
    ],
)
def test_what_is_wrong_with_a_polygon_is_named(fields: str, code: str) -> None:
    text = f'{{"图片_1": {{"object_1": {{{fields}}}}}}}'
    # Grammars know nothing of crossings and order: corners are held while they are written.
    assert takes(of_caption(1), text) == (code in ("", "poly_crossing", "poly_order"))
    if code:
        with pytest.raises(FormatError) as caught:
            caption.parse(text)
        assert caught.value.code == code
    else:
        assert caption.parse(text).photos == ((CaptionObject(SIX, "a"),),)


def test_a_header_and_no_keys_of_photos() -> None:
    box = CaptionObject(Box(1, 2, 3, 4), "类别=BBU设备,品牌=华为")
    line = CaptionObject(Line(((1, 2), (3, 4))), "类别=光纤")
    text = (
        f'{HEADER}\n{{"object_1": {{"bbox_2d": [1, 2, 3, 4], "desc": "类别=BBU设备,品牌=华为"}}, '
        '"object_2": {"line": [1, 2, 3, 4], "line_points": 2, "desc": "类别=光纤"}}'
    )
    assert caption.render(Caption(((box, line),)), DOMAIN) == text
    assert caption.parse(text, 1, form=DOMAIN) == Caption(((box, line),))
    rru = text.replace("BBU>", "RRU>")
    assert caption.parse(rru, 1, form=DOMAIN) == Caption(((box, line),))
    assert caption.render(Caption(((box, line),)), DOMAIN, "<DOMAIN=RRU>, <TASK=DETECTION>") == rru
    assert caption.parse(HEADER + "\n{}", 1, form=DOMAIN) == Caption(((),))
    assert caption.render(Caption(((),)), DOMAIN) == HEADER + "\n{}"
    for count in (0, 2):
        with pytest.raises(FormatError, match="expected"):
            caption.parse(text, count, form=DOMAIN)
    with pytest.raises(FormatError, match="one photo"):
        caption.render(Caption(((), ())), DOMAIN)


OBJECT = '{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "a"}}'


@pytest.mark.parametrize(
    ("text", "repairs"),
    [
        (f"{HEADER}\n{OBJECT}", []),
        (OBJECT, ["header: missing"]),
        (f"{HEADER} {OBJECT}", ["header: not on a line of its own"]),
        (
            f"好的\n{HEADER}\n{OBJECT}",
            ["header: not on a line of its own", "leading_text: 2 characters"],
        ),
        (f"{HEADER}\n{OBJECT}\n完毕", ["trailing_text: 2 characters"]),
        (f"{HEADER}\n{OBJECT[:-1]}", ["truncated: the text ends behind 图片_1/object_1"]),
        (
            f'{HEADER}\n[{{"bbox_2d": [1, 2, 3, 4], "label": "a"}}]',
            ["list_of_objects", "label_as_desc: 图片_1/object_1"],
        ),
        (f"<think>嗯</think>\n{HEADER}\n{OBJECT}", ["thinking: 16 characters"]),
    ],
)
def test_recovery_below_a_header(text: str, repairs: list[str]) -> None:
    recovery = recover(text, 1, form=DOMAIN)
    assert recovery.caption == Caption(((CaptionObject(Box(1, 2, 3, 4), "a"),),))
    assert [str(repair) for repair in recovery.repairs] == repairs


@pytest.mark.parametrize(
    ("text", "form", "code", "message"),
    [
        (f"{HEADER}\n{OBJECT}", PLAIN.caption, "header", "--formats domain"),
        (f"好的\n{HEADER}\n{OBJECT}", PLAIN.caption, "header", "--formats domain"),
        (f"{HEADER}\n{{}}", PLAIN.caption, "header", "no header is expected"),
        (f"<DOMAIN=BBU>, <TASK=SUMMARY>\n{OBJECT}", DOMAIN, "header", "TASK=DETECTION"),
        (f'{HEADER}\n{{"图片_1": {OBJECT}}}', DOMAIN, "photo_key", "--formats plain"),
        (f'{{"图片_1": {OBJECT}}}', DOMAIN, "photo_key", "--formats plain"),
        ("{}", DOMAIN, "empty", "names no photo"),
        ("", DOMAIN, "empty", "is empty"),
        (f'{HEADER}\n{{"object_1": {{}}}}', DOMAIN, "geometry_count", "no geometry"),
        (HEADER, DOMAIN, "not_json", "not JSON"),
        ("无法回答", DOMAIN, "header", HEADER),
    ],
)
def test_a_caption_of_another_format_is_refused(
    text: str, form: CaptionFormat, code: str, message: str
) -> None:
    with pytest.raises(FormatError, match=re.escape(message)) as caught:
        recover(text, 1, form=form)
    assert caught.value.code == code


def test_several_photos_have_no_names_in_such_a_format() -> None:
    template = load_prompts().caption
    with pytest.raises(FormatError, match="each on a line of its own"):
        stage.request("", [Path("a.jpg"), Path("b.jpg")], template, form=DOMAIN)
