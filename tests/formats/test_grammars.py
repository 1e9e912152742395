"""The grammars take what the parsers take and render writes, and nothing that they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from transformers import AutoTokenizer

from shenhe.checkpoints import find_checkpoint
from shenhe.errors import FormatError
from shenhe.formats import caption, grammars, summary, verdict
from shenhe.formats.caption_grammar import of_caption
from shenhe.formats.closing import close_truncated
from shenhe.formats.gbnf import to_gbnf
from shenhe.formats.repetition import LINE_LOOP, is_repeating
from shenhe.geometry import Box, Line
from shenhe.messages import Grammar
from shenhe.values import Caption, CaptionObject, Judgement
from tests.formats.gbnf_matcher import matches

TOKENIZER = AutoTokenizer.from_pretrained(find_checkpoint("demo").folder)
READER = from_tokenizer(TOKENIZER)


@lru_cache(maxsize=64)
def compiled(lark: str) -> LLMatcher:
    """Compile a grammar, which takes longer than to hold a text against it."""
    return LLMatcher(READER, lark)


def takes(grammar: Grammar, text: str) -> bool:
    """Whether a text is what the grammar asks for, whole: as Lark, and as llama.cpp has it."""
    matcher = compiled(grammar.lark).deep_copy()
    assert not matcher.get_error()
    tokens = TOKENIZER(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    taken = matcher.validate_tokens(tokens) == len(tokens) and (
        bool(matcher.consume_tokens(tokens)) and bool(matcher.is_accepting())
    )
    assert matches(to_gbnf(grammar.lark), text) == taken
    return taken


NUMBER = st.integers(0, 1000)
DESC = st.text(st.sampled_from('BU设备/,华为 \\"×{}[]<|'), min_size=1, max_size=12)
POINTS = st.lists(st.tuples(NUMBER, NUMBER), min_size=2, max_size=6, unique=True)
SHAPES = st.one_of(
    st.tuples(NUMBER, NUMBER, NUMBER, NUMBER)
    .filter(lambda n: n[0] < n[2] and n[1] < n[3])
    .map(lambda n: Box(*map(float, n))),
    POINTS.map(lambda points: Line(tuple((float(x), float(y)) for x, y in points))),
)
OBJECTS = st.builds(CaptionObject, SHAPES, DESC.filter(lambda d: d[:1].strip() != ""))
CAPTIONS = st.lists(st.lists(OBJECTS, max_size=3).map(tuple), min_size=1, max_size=3).map(
    lambda photos: Caption(tuple(photos))
)


@settings(max_examples=60)
@given(CAPTIONS, st.booleans())
def test_every_rendered_caption_is_taken(value: Caption, compact: bool) -> None:
    grouped = caption.to_grouped(value)
    text = json.dumps(
        grouped, ensure_ascii=False, separators=(",", ":") if compact else (", ", ": ")
    )
    grammar = of_caption(len(value.photos))
    assert takes(grammar, text)
    # A regular expression, for servers, is of json.dumps' own spacing alone.
    assert (re.fullmatch(grammar.regex, text) is not None) == (not compact)


@settings(max_examples=100)
@given(CAPTIONS, st.booleans(), st.data())
def test_a_caption_cut_anywhere_is_closed_into_a_shorter_one(
    value: Caption, compact: bool, data: st.DataObject
) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    text = json.dumps(caption.to_grouped(value), ensure_ascii=False, separators=separators)
    cut = text[: data.draw(st.integers(0, len(text)))]
    grammar = of_caption(len(value.photos))
    closed = close_truncated(cut, grammar)
    assert takes(grammar, closed)
    shortened = caption.parse(closed, len(value.photos))
    for kept, whole in zip(shortened.photos, caption.parse(text).photos, strict=True):
        assert kept == whole[: len(kept)]
    if cut == text:
        assert closed == text


KEYS_ELSEWHERE = (
    '{"图片_1": {"object_1": {"desc": "光纤", "line_points": 2, "line": [1, 2, 3, 4]}}}'
)
OBJECT = '{{"图片_1": {{"object_1": {}}}}}'


BEYOND_REGEX = (
    KEYS_ELSEWHERE.replace('"line_points": 2', '"line_points": 3'),
    OBJECT.format('{"line": [1, 2, 3, 4, 5, 6], "line_points": 2, "desc": "a"}'),
    '{"图片_1": {"object_2": {"bbox_2d": [1, 2, 3, 4], "desc": "a"}}}',
)
"""What a regular expression cannot count; the parser finds it."""


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('{"图片_1": {}}', True),
        (KEYS_ELSEWHERE, True),
        (KEYS_ELSEWHERE.replace('"line_points": 2', '"line_points": 3'), False),
        (OBJECT.format('{"bbox_2d": [1, 2, 3, 1000], "desc": "a"}'), True),
        (OBJECT.format('{"bbox_2d": [1, 2, 3, 1001], "desc": "a"}'), False),
        (OBJECT.format('{"bbox_2d": [1, 2, 3], "desc": "a"}'), False),
        (OBJECT.format('{"bbox_2d": [01, 2, 3, 4], "desc": "a"}'), False),
        (OBJECT.format('{"bbox_2d": [1, 2, 3, 4], "desc": ""}'), False),
        (OBJECT.format('{"bbox_2d": [1, 2, 3, 4]}'), False),
        (OBJECT.format('{"quad": [1, 2, 9, 2, 9, 8, 1, 8], "desc": "a"}'), True),
        (OBJECT.format('{"line": [1, 2, 3, 4, 5, 6], "line_points": 2, "desc": "a"}'), False),
        ('{"图片_1": {}, "图片_2": {}}', False),
        ('{"图片_1": {"object_2": {"bbox_2d": [1, 2, 3, 4], "desc": "a"}}}', False),
        ("好的", False),
    ],
)
def test_captions_of_one_photo(text: str, taken: bool) -> None:
    assert takes(of_caption(1), text) == taken
    if text not in BEYOND_REGEX:
        assert (re.fullmatch(of_caption(1).regex, text) is not None) == taken
    if taken:
        caption.parse(text, 1)


def test_numbers_of_other_coordinates() -> None:
    text = OBJECT.format('{"bbox_2d": [1, 2, 101, 1500], "desc": "a"}')
    assert not takes(of_caption(1), text)
    assert not takes(of_caption(1, "norm100"), text.replace("1500", "9"))
    assert takes(of_caption(1, "pixel"), text)


def test_a_vocabulary_leaves_no_other_descs() -> None:
    grammar = of_caption(1, descs=("BBU设备/(华为|中兴)", "标签/.{1,8}"))
    text = OBJECT.format('{"bbox_2d": [1, 2, 3, 4], "desc": "X"}')
    assert takes(grammar, text.replace("X", "BBU设备/中兴"))
    assert takes(grammar, text.replace("X", "标签/A1"))
    assert not takes(grammar, text.replace("X", "BBU设备/其他"))
    assert re.fullmatch(grammar.regex, text.replace("X", "标签/A1"))
    assert not re.fullmatch(grammar.regex, text.replace("X", "BBU设备/其他"))


Parser = Callable[[str], object]


@pytest.mark.parametrize(
    ("grammar", "parse", "text", "taken"),
    [
        (grammars.of_summary(), summary.parse, text, taken)
        for text, taken in (
            ("BBU设备/华为/显示完整×1，备注: 无", True),
            ("无关图片", True),
            ("x（2个）", True),
            ("x (3", True),
            ("a <b", True),
            ("（12 个 3）", True),
            ("a\nb", False),
            ("a\u2028b", False),
            ("x [1, 2]", False),
            ("x（1，2）", False),
            ("x ( [1,2]", False),
            ("a<|im_end|>", False),
            ("", False),
        )
    ]
    + [
        (grammars.of_verdict(), verdict.parse, text, taken)
        for text, taken in (
            (verdict.render(Judgement("通过", "图片_1中螺丝符合要求")), True),
            ("不通过\n理由: 看不清\n", True),
            ("通过\n理由: ", False),
            ("通过\n理由：全角", False),
            ("通过。\n理由: x", False),
            ("待定\n理由: x", False),
            ("通过\n理由: x\n又", False),
            ("通过\n理由: x<|im_end|>", False),
        )
    ],
)
def test_lines_and_verdicts(grammar: Grammar, parse: Parser, text: str, taken: bool) -> None:
    assert takes(grammar, text) == taken
    assert (re.fullmatch(grammar.regex, text.removesuffix("\n")) is not None) == taken
    if taken:
        parse(text)
    else:
        with pytest.raises(FormatError):
            parse(text)


def test_what_goes_round_in_a_circle() -> None:
    grammar = of_caption(1)
    item = '"object_{}": {{"bbox_2d": [1, 2, 3, {}], "desc": "a"}}'
    equal_objects = ", ".join(item.format(n, 4) for n in range(1, 4))
    growing_objects = ", ".join(item.format(n, 3 + n) for n in range(1, 4))
    assert is_repeating('{"图片_1": {' + equal_objects, grammar)
    assert not is_repeating('{"图片_1": {' + growing_objects, grammar)
    boxes = ", ".join(
        f'"object_{n}": {{"bbox_2d": [{10 * n}, 2, {10 * n + 8}, 40], "desc": "a"}}'
        for n in range(1, 9)
    )
    assert is_repeating('{"图片_1": {' + boxes, grammar)
    assert not is_repeating('{"图片_1": {' + boxes.rsplit(", ", 1)[0], grammar)
    line = grammars.of_summary()
    assert is_repeating("，".join(["螺丝×1"] * LINE_LOOP), line)
    assert not is_repeating("，".join(["螺丝×1"] * (LINE_LOOP - 1)), line)
    assert not is_repeating("通过\n理由: 一，一，一", grammars.of_verdict())
