"""Lines and verdicts in the formats that checkpoints were trained on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shenhe.config import load_formats
from shenhe.errors import FormatError
from shenhe.formats import grammars, summary, verdict
from shenhe.formats.gbnf import to_gbnf
from shenhe.formats.recognition import recognize
from shenhe.formats.text_formats import PLAIN, SummaryFormat, TextFormats, VerdictFormat
from shenhe.messages import Grammar
from shenhe.values import FAIL, PASS, Judgement
from tests.formats.test_grammars import takes

KEYED, DOMAIN = load_formats("keyed"), load_formats("domain")
HEADER = "<DOMAIN=BBU>, <TASK=SUMMARY>"
JSON = '{"统计": [{"类别": "挡风板", "品牌": {"中兴": 1}}], "备注": ["边缘被线缆遮挡"]}'
LINE = "BBU设备/中兴/只显示部分/无需安装×1，标签/可以识别×2"
SEVERAL = VerdictFormat(reason_marks=("理由: ", "理由:", "理由：", "理由： "))


@pytest.mark.parametrize(
    "text",
    [
        f'{{"图片_1": "{LINE}"}}',
        f'{{"图片_1":"{LINE}"}}\n',
        f'{{"image_1": " {LINE} "}}',
    ],
)
def test_a_keyed_line_is_its_value(text: str) -> None:
    assert summary.parse(text, KEYED.summary) == LINE
    assert summary.parse_stored(text, KEYED.summary) == LINE
    assert summary.parse_stored(LINE, KEYED.summary) == LINE
    assert summary.write(LINE, KEYED.summary) == f'{{"图片_1": "{LINE}"}}'


def test_a_key_may_name_the_photo_of_the_row() -> None:
    third = f'{{"图片_3": "{LINE}"}}'
    assert summary.parse(third, KEYED.summary, 3) == LINE
    lines = {"图片_1": LINE, "图片_2": f'{{"图片_1": "{LINE}"}}', "图片_3": third}
    assert set(summary.parse_group(lines, KEYED.summary).values()) == {LINE}
    with pytest.raises(FormatError, match="图片_1"):
        summary.parse(third, KEYED.summary)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f'{{"图片_2": "{LINE}"}}', "key_sequence"),
        ('{"图片_1": "a", "图片_2": "b"}', "key_sequence"),
        ('{"图片_1": "螺丝×1", "图片_1": "标签×1"}', "duplicate_key"),
        ('{"图片_1": ["螺丝×1"]}', "structure"),
        ('{"图片_1": {"a": "螺丝×1"}}', "structure"),
        ('{"图片_1": null}', "structure"),
        ('{"图片_1": "{\\"图片_1\\": \\"螺丝×1\\"}"}', "structure"),
        ('{"图片_1": "  "}', "empty"),
        ('{"图片_1": "{}"}', "empty"),
        ("{}", "empty"),
        ("", "empty"),
        ('{"图片_1": "螺丝×1"} 好的', "trailing_text"),
        ('{"图片_1": "螺丝×1"}{"图片_2": "螺丝×1"}', "trailing_text"),
        ('{"图片_1": "螺丝×1"}\n{"图片_2": "螺丝×1"}', "multiple_lines"),
        ("{'图片_1': '螺丝×1'}", "not_json"),
        ('```json {"图片_1": "螺丝×1"}```', "not_json"),
        ("螺丝×1", "not_json"),
        ('{"图片_1": NaN}', "not_json"),
        ('["螺丝×1"]', "structure"),
        ('{"图片_1": "螺丝', "truncated"),
        ('{"图片_1": "a\\nb"}', "multiple_lines"),
        ('{"图片_1": "a\\u2028b"}', "multiple_lines"),
        ('{"图片_1": "<|im_end|>"}', "special_token"),
        ('{"图片_1": "\\u003c|im_end|>"}', "special_token"),
        ('{"图片_1": "\\ud800"}', "characters"),
        ('{"图片_1": "x [1, 2, 3, 4]"}', "coordinates"),
        ('{"图片_1": "<think>x</think>螺丝"}', "thinking"),
        ("[" * 5000, "not_json"),
        ('{"图片_1": ' + "9" * 5000 + "}", "not_json"),
    ],
)
def test_what_no_keyed_line_is(text: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        summary.parse(text, KEYED.summary)
    assert caught.value.code == code


def test_a_summary_of_json_stays_json_without_its_header() -> None:
    text = f"{HEADER}\n{JSON}"
    assert summary.parse(text, DOMAIN.summary) == JSON
    assert summary.header_of(text, DOMAIN.summary) == HEADER
    assert summary.parse_stored(JSON, DOMAIN.summary) == JSON
    assert summary.parse_stored(text, DOMAIN.summary) == JSON
    assert summary.write(JSON, DOMAIN.summary) == text
    rru = text.replace("BBU", "RRU")
    assert summary.write(JSON, DOMAIN.summary, summary.header_of(rru, DOMAIN.summary)) == rru


@pytest.mark.parametrize("form", [PLAIN, KEYED, DOMAIN], ids=lambda form: form.name)
def test_a_photo_with_nothing_relevant(form: TextFormats) -> None:
    assert summary.parse(" 无关图片\n", form.summary) == "无关图片"
    assert summary.parse(summary.write("无关图片", form.summary), form.summary) == "无关图片"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (JSON, "header"),
        (f"<DOMAIN=DDU>, <TASK=SUMMARY>\n{JSON}", "header"),
        (f"<DOMAIN=BBU>, <TASK=DETECTION>\n{JSON}", "header"),
        (HEADER, "empty"),
        (f"{HEADER}\n{{}}", "empty"),
        (f'{HEADER}\n{{"统计": [], "备注": [" "]}}', "empty"),
        (f"{HEADER}\n{JSON}\n{JSON}", "multiple_lines"),
        (f"{HEADER}\n\n{JSON}\n\n{JSON}", "multiple_lines"),
        (f"{HEADER}\n{JSON}{JSON}", "trailing_text"),
        (f"{HEADER}\n" + JSON.replace('"统计":', "统计="), "not_json"),
        (f"{HEADER}\n统计=[]", "not_json"),
        (f"{HEADER}\n{JSON[:30]}", "truncated"),
        (f"{HEADER}\n{LINE}", "not_json"),
        (f'{HEADER}\n{{"统计": 1, "统计": 2}}', "duplicate_key"),
        (f'{HEADER}\n{{"object_1": {{"bbox_2d": [1, 2, 3, 4], "desc": "a"}}}}', "coordinates"),
        (f'{HEADER}\n{{"统计": [[12, 30]]}}', "coordinates"),
        (f'{HEADER}\n{{"备注": ["<|im_start|>system"]}}', "special_token"),
        (f'{HEADER}\n{{"备注": ["a\\nb"]}}', "characters"),
        (f'{HEADER}\n{{"备注": ["\\u0007"]}}', "characters"),
        (f"<think>{HEADER}</think>\n{JSON}", "thinking"),
        (f"{HEADER}\n" + '{"a": ' * 40 + "1" + "}" * 40, "not_json"),
    ],
)
def test_drift_is_told_and_never_read(text: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        summary.parse(text, DOMAIN.summary)
    assert caught.value.code == code


def test_a_stored_line_may_be_that_of_an_earlier_format_but_no_broken_json() -> None:
    assert summary.parse_stored(LINE, DOMAIN.summary) == LINE
    for drift in ('{"统计": [', JSON.replace('"统计":', "统计="), f"{HEADER}\n{JSON[:20]}"):
        with pytest.raises(FormatError):
            summary.parse_stored(drift, DOMAIN.summary)


@pytest.mark.parametrize(
    ("form", "text", "reason"),
    [
        (
            DOMAIN.verdict,
            "Verdict: 通过\nReason: Image1: 完整; 总结: 齐全",
            "Image1: 完整; 总结: 齐全",
        ),
        (DOMAIN.verdict, "Verdict: 通过\n\n \nReason: 完整\n\n", "完整"),
        (SEVERAL, "通过\n理由:图片_1完整", "图片_1完整"),
        (SEVERAL, "通过\n理由：图片_1完整", "图片_1完整"),
        (SEVERAL, "通过\n理由： 图片_1完整", "图片_1完整"),
        (SEVERAL, "通过\n理由: 图片_1完整\n", "图片_1完整"),
    ],
)
def test_marks_that_a_format_reads(form: VerdictFormat, text: str, reason: str) -> None:
    assert verdict.parse(text, form) == Judgement(PASS, reason)
    failed = text.replace("通过", "不通过", 1)
    assert verdict.parse(failed, form) == Judgement(FAIL, reason)
    assert verdict.parse(verdict.render(Judgement(PASS, reason), form), form).reason == reason
    with pytest.raises(FormatError):
        verdict.parse(text.replace("通过", "需复核", 1), form)


NEARLY = [
    "Verdict：通过\nReason: a",
    "Verdict:通过\nReason: a",
    "verdict: 通过\nReason: a",
    "Verdict: 通过。\nReason: a",
    "Verdict: 通过\u200b\nReason: a",
    "Verdict: 通过\u2028\nReason: a",
    "Verdict: 通 过\nReason: a",
    "Verdict: 不 通过\nReason: a",
    "Verdict: 通过 / 不通过\nReason: a",
    "Verdict: 不通过\rVerdict: 通过\nReason: a",
    "Verdict: 需复核\nReason: a",
    "Verdict: 待定\nReason: a",
    "Verdict: PASS\nReason: a",
    "通过\n理由: a",
    "Verdict: 通过\n理由: a",
    "Verdict: 通过\nReason: ",
    "Verdict: 通过",
    "Verdict: 通过\nReason: a\nReason: b",
    "Verdict: 通过\nReason: a\u2029b",
    "Verdict: 通过\nReason: a\x85不通过",
    "Verdict: 通过\nReason: a<|im_end|>",
    "<think>不通过</think>Verdict: 通过\nReason: a",
    "\nVerdict: 通过\nReason: a",
    "```\nVerdict: 通过\nReason: a\n```",
    "Reason: a\nVerdict: 通过",
]


@pytest.mark.parametrize("text", NEARLY)
@pytest.mark.parametrize("form", [DOMAIN.verdict, PLAIN.verdict], ids=["domain", "plain"])
def test_nearly_a_verdict_is_none(form: VerdictFormat, text: str) -> None:
    if form == PLAIN.verdict and text == "通过\n理由: a":
        return
    with pytest.raises(FormatError):
        verdict.parse(text, form)


FORMS = st.sampled_from([PLAIN.verdict, DOMAIN.verdict, SEVERAL])
PIECES = st.sampled_from(
    [
        "通过",
        "不通过",
        "Verdict: ",
        "Verdict:",
        "\n",
        "理由: ",
        "理由:",
        "Reason: ",
        " ",
        "a",
        "\u2028",
        "<|",
    ]
)


@settings(max_examples=300)
@given(FORMS, st.lists(PIECES, max_size=8).map("".join))
def test_a_pass_is_only_read_where_one_is_written(form: VerdictFormat, text: str) -> None:
    try:
        value = verdict.parse(text, form)
    except FormatError:
        return
    first = text.split("\n")[0]
    assert first in [mark + form.pass_word for mark in form.verdict_marks] or value.verdict == FAIL
    again = verdict.render(value, form)
    assert verdict.parse(again, form).verdict == value.verdict


GRAMMARS: list[tuple[Grammar, Any, Any, str, bool]] = [
    (grammars.of_summary(KEYED.summary), summary.parse, KEYED.summary, text, taken)
    for text, taken in (
        (f'{{"图片_1": "{LINE}"}}', True),
        (f'{{"图片_1":"{LINE}"}}', True),
        ('{"图片_1": "x（2个）"}', True),
        ('{"图片_1": "x [1, 2]"}', False),
        ('{"图片_1": ""}', False),
        ('{"图片_2": "螺丝×1"}', False),
        ('{"图片_1": "a<|im_end|>"}', False),
        ('{"图片_1": "a\\nb"}', False),
        (LINE, False),
    )
]
GRAMMARS += [
    (grammars.of_summary(DOMAIN.summary), summary.parse, DOMAIN.summary, text, taken)
    for text, taken in (
        (f"{HEADER}\n{JSON}", True),
        (f"{HEADER}\n{JSON}".replace("BBU", "RRU").replace(": ", ":"), True),
        ("无关图片", True),
        (f'{HEADER}\n{{"分组统计": {{"组1": {{"尾纤/有标签": 2}}}}, "站点距离": 12}}', True),
        (f"{HEADER}\n{{}}", False),
        (f"{HEADER}\n{JSON[:-1]}", False),
        (f'{HEADER}\n{{"a": [1, 2]}}', False),
        (f'{HEADER}\n{{"a": "<|im_end|>"}}', False),
        (f"{HEADER}\n{JSON}\n{JSON}", False),
        (JSON, False),
    )
]
GRAMMARS += [
    (grammars.of_verdict(DOMAIN.verdict), verdict.parse, DOMAIN.verdict, text, taken)
    for text, taken in (
        ("Verdict: 通过\nReason: Image1: 完整", True),
        ("Verdict: 不通过\nReason: a", True),
        ("Verdict: 需复核\nReason: a", False),
        ("Verdict: 通过\nReason: ", False),
        ("通过\n理由: a", False),
    )
]


@pytest.mark.parametrize(("grammar", "parse", "form", "text", "taken"), GRAMMARS)
def test_grammars_take_what_is_read(
    grammar: Grammar, parse: Any, form: Any, text: str, taken: bool
) -> None:
    # `<DOMAIN=RRU>` holds no ": ", so compact JSON keeps its header.
    text = text.replace("<DOMAIN=RRU>,<", "<DOMAIN=RRU>, <")
    assert takes(grammar, text) == taken
    assert to_gbnf(grammar.lark)
    assert (re.fullmatch(grammar.regex, text) is not None) == taken
    if taken:
        parse(text, form)
    else:
        with pytest.raises(FormatError):
            parse(text, form)


TEXTS = st.text(st.sampled_from('螺丝×1/，<（2.\\"[{|}]: 中'), min_size=1, max_size=12)
VALUES = st.recursive(
    st.integers(0, 99_999) | TEXTS,
    lambda inner: (
        st.dictionaries(TEXTS, inner, min_size=1, max_size=3)
        | st.lists(inner.filter(lambda value: not isinstance(value, int)), max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=80)
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3), st.booleans())
def test_json_that_the_grammar_takes_is_read(value: dict[str, object], compact: bool) -> None:
    separators = (",", ":") if compact else (", ", ": ")
    text = f"{HEADER}\n" + json.dumps(value, ensure_ascii=False, separators=separators)
    grammar = grammars.of_summary(DOMAIN.summary)
    try:
        summary.parse(text, DOMAIN.summary)
    except FormatError as error:
        assert error.code in ("loop", "special_token", "empty")  # noqa: PT017 - most raise nothing
        return
    if takes(grammar, text):
        assert re.fullmatch(grammar.regex, text)


@pytest.mark.parametrize(
    ("kind", "texts", "expected"),
    [
        ("summary", [LINE] * 5, "plain"),
        ("summary", [f'{{"图片_1": "{LINE}"}}'] * 4 + ["无关图片"], "keyed"),
        ("summary", [f"{HEADER}\n{JSON}"] * 3 + ["无关图片", LINE], "domain"),
        ("summary", ["无关图片"] * 5, None),
        ("summary", [LINE, f'{{"图片_1": "{LINE}"}}'], None),
        ("summary", ["好的，我来看这张图片。\n图中有"] * 5, None),
        ("summary", [], None),
        ("verdict", ["Verdict: 通过\nReason: 完整"] * 5, "domain"),
        ("verdict", ["通过\n理由: 完整"] * 5, "plain"),
        ("verdict", ["通过\n理由:完整"] * 5, None),
    ],
)
def test_the_format_that_fits(kind: str, texts: list[str], expected: str | None) -> None:
    fit = recognize(kind, texts, (PLAIN, KEYED, DOMAIN))  # type: ignore[arg-type]
    assert (fit and fit.formats.name) == expected


def test_the_format_in_use_comes_first_of_equal_ones() -> None:
    fit = recognize("verdict", ["通过\n理由: 完整"], (KEYED, PLAIN))
    assert fit is not None
    assert fit.formats == KEYED


def test_json_without_a_header_and_a_line_below_one() -> None:
    bare = SummaryFormat("json")
    assert summary.parse(JSON, bare) == JSON
    headed = SummaryFormat(header="<SUMMARY>")
    assert summary.parse(f"<SUMMARY>\n{LINE}", headed) == LINE
    assert takes(grammars.of_summary(headed), f"<SUMMARY>\n{LINE}")
    assert takes(grammars.of_summary(bare), JSON)
