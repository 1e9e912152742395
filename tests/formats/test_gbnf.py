"""Lark, written as llama.cpp reads it; test_grammars holds every grammar to its Lark."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.config.vocabulary import load_vocabulary
from shenhe.formats import grammars
from shenhe.formats.caption_grammar import of_caption
from shenhe.formats.character_sets import LAST, CharacterSet
from shenhe.formats.gbnf import to_gbnf
from shenhe.formats.regex_to_gbnf import NotConvertibleError
from tests.formats.gbnf_matcher import matches


@pytest.mark.parametrize(
    ("lark", "gbnf"),
    [
        ('start: "a" | B // why\nB: /[x-z]/\n', 'root ::= "a" | B\nB ::= [x-z]'),
        (
            '?start: (x_y "\\n")? [x_y]\n!x_y.2: "通过"',
            'root ::= (x-y "\\n")? (x-y)?\nx-y ::= "通过"',
        ),
        ('start: X~2 X~1..3 X{4} X{5,}\nX: "x"', 'root ::= X{2} X{1,3} X{4} X{5,}\nX ::= "x"'),
        (
            'start: ("a" "b"){0,64}',
            'root ::= root--1{0,64}\nroot--1 ::= ("a" "b")',
        ),
        (r"start: /a\/b|\u3000\.(?:c)*?/", r'root ::= "a/b" | "\u3000." ("c")*'),
        (r"start: /[^\d\s]./", r"root ::= [^\t-\r 0-9\x85\xA0\u3000] [^\n]"),
        ('start: /.b?/ & /[^"]*/', r'root ::= [^\n\"] "b"?'),
        ("start:\n  | /(a|b)c/\n  | X\nX: /d|e/ /f/", None),
    ],
)
def test_lark_is_written_as_gbnf(lark: str, gbnf: str | None) -> None:
    written = to_gbnf(lark)
    if gbnf is not None:
        assert written == gbnf
    else:
        accepted = [
            text for text in ("", "ac", "bc", "df", "ef", "d", "c") if matches(written, text)
        ]
        assert accepted == ["", "ac", "bc", "df", "ef"]


@pytest.mark.parametrize(
    "lark",
    [
        "",
        "%import common.WORD\nstart: WORD",
        'start: "a"i',
        "start: /a/i",
        "start: /(?=a)/",
        "start: /^a$/",
        "start: /a++/",
        r"start: /\w/",
        r"start: /[\p{L}]/",
        "start: /[a/",
        'start: ("a"',
        'start: "a")',
        'start: "a" & "b"',
        "start: /a/ & b",
        'start: /"/ & /[^"]*/',
        "start: <|im_end|>",
        "start: /[[:alpha:]]/",
    ],
)
def test_what_gbnf_cannot_say_is_an_error_and_never_another_grammar(lark: str) -> None:
    with pytest.raises(NotConvertibleError):
        to_gbnf(lark)


def test_a_vocabulary_is_held() -> None:
    grammar = to_gbnf(of_caption(1, descs=load_vocabulary().patterns).lark)
    text = '{"图片_1": {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "DESC"}}}'
    assert matches(grammar, text.replace("DESC", "标签/可以识别"))
    assert matches(grammar, text.replace("DESC", "标签/5G-AAU"))
    for desc in ("月亮/可以识别", "标签/x\\ny", '标签/"'):
        assert not matches(grammar, text.replace("DESC", desc))


def test_repetitions_stay_below_the_bound_of_llama_cpp() -> None:
    """It refuses 2,000 rules within a repetition: a group counts as many rules as it has groups."""
    for grammar in (grammars.of_summary(), grammars.of_verdict(), of_caption(2)):
        for match in re.finditer(r"\){[0-9]+,?([0-9]*)}", to_gbnf(grammar.lark)):
            assert int(match[1] or 1) <= 16


CODES = st.integers(0, LAST)
SETS = st.lists(st.tuples(CODES, CODES).map(lambda pair: (min(pair), max(pair))), max_size=5)


@given(SETS, SETS, CODES)
def test_sets_are_sets(one: list[tuple[int, int]], two: list[tuple[int, int]], code: int) -> None:
    def holds(intervals: list[tuple[int, int]]) -> bool:
        return any(low <= code <= high for low, high in intervals)

    a, b = CharacterSet.of(one), CharacterSet.of(two)
    assert holds(list((a & b).intervals)) == (holds(one) and holds(two))
    assert holds(list((~a).intervals)) != holds(one)
    assert ~~a == a
