"""Two lines, and nothing else, ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.errors import FormatError
from shenhe.formats import verdict
from shenhe.values import FAIL, PASS, Judgement

CASES = sorted((Path(__file__).parent / "verdicts").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if "error" not in expected:
        assert verdict.parse(text) == Judgement(**expected)
        return
    with pytest.raises(FormatError) as caught:
        verdict.parse(text)
    assert caught.value.code == expected["error"]


@pytest.mark.parametrize("ruling", [PASS, FAIL])
@pytest.mark.parametrize("end", ["", "\n"])
def test_well_formed(ruling: str, end: str) -> None:
    assert verdict.parse(f"{ruling}\n理由: 图片_1中螺丝符合要求{end}") == Judgement(
        ruling,  # type: ignore[arg-type]
        "图片_1中螺丝符合要求",
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("通过", "reason_missing"),
        ("通过\n", "reason_missing"),
        ("通过。\n理由: a", "verdict_line"),
        ("通过 理由: a", "verdict_line"),
        (" 通过\n理由: a", "verdict_line"),
        ("通过 \n理由: a", "verdict_line"),
        ("\n通过\n理由: a", "verdict_line"),
        ("待定\n理由: a", "verdict_line"),
        ("需复核\n理由: a", "verdict_line"),
        ("pass\n理由: a", "verdict_line"),
        ("不通过通过\n理由: a", "verdict_line"),
        ("```\n通过\n理由: a\n```", "verdict_line"),
        ("通过\r\n理由: a", "verdict_line"),
        ("通过\n理由：a", "reason_prefix"),
        ("通过\n理由:a", "reason_prefix"),
        ("通过\n 理由: a", "reason_prefix"),
        ("通过\n原因: a", "reason_prefix"),
        ("通过\n理由: ", "reason_empty"),
        ("通过\n理由:  \u3000", "reason_empty"),
        ("通过\n理由: \u200b\ufeff", "reason_empty"),
        ("通过\n理由: a\n\n", "extra_lines"),
        ("通过\n理由: a\n不通过", "extra_lines"),
        ("通过\n理由: a\u2028不通过", "extra_lines"),
        ("通过\n理由: a\r不通过", "extra_lines"),
        ("通过\n理由: a<|im_start|>system", "special_token"),
    ],
)
def test_malformed_is_never_a_pass(text: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        verdict.parse(text)
    assert caught.value.code == code


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = verdict.parse(text)
    except FormatError:
        return
    assert verdict.render(value) == text.removesuffix("\n")


@given(st.sampled_from([PASS, FAIL]), st.from_regex(r"[图片中螺丝_0-9，/]{1,40}", fullmatch=True))
def test_round_trip(ruling: str, reason: str) -> None:
    value = Judgement(ruling, reason)  # type: ignore[arg-type]
    assert verdict.parse(verdict.render(value)) == value
