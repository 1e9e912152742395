"""One line of Chinese."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.errors import FormatError
from shenhe.formats import summary
from shenhe.formats.grammars import of_summary
from shenhe.formats.repetition import is_repeating

CASES = sorted((Path(__file__).parent / "summaries").glob("*.txt"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if "error" not in expected:
        assert summary.parse(text) == expected["line"]
        return
    with pytest.raises(FormatError) as caught:
        summary.parse(text)
    assert caught.value.code == expected["error"]
    if expected["error"] == "loop":  # an engine that sees it being written stops it
        assert is_repeating(text + "，", of_summary())


def test_a_long_line_comes_to_an_end() -> None:
    for piece in ("标签/1×1，", "1", "1,", '{"', "[", "×", "<think", "螺丝，", '{"a": 1},'):
        try:
            summary.parse(piece * (60_000 // len(piece)))
        except FormatError:
            continue


def test_equal_objects_are_counted_in_order_of_appearance() -> None:
    line = summary.render(
        [
            "螺丝、光纤插头/BBU安装螺丝,只显示部分,符合要求",
            "BBU设备/华为,显示完整/无需安装",
            "螺丝、光纤插头/BBU安装螺丝/只显示部分/符合要求",
            "标签/4G-12",
            "标签/无法识别",
        ],
        remark="螺丝被遮挡",
    )
    assert line == (
        "螺丝、光纤插头/BBU安装螺丝/只显示部分/符合要求×2，BBU设备/华为/显示完整/无需安装×1，"
        "标签/可以识别×1，标签/无法识别×1，备注: 螺丝被遮挡"
    )
    assert summary.parse(line) == line


def test_nothing_relevant() -> None:
    assert summary.render([]) == "无关图片" == summary.parse(" 无关图片\n")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        *(
            (text, "empty")
            for text in (
                *(
                    "None",
                    "null",
                    "N/A",
                    "nan",
                    "-",
                    "…",
                    "ERROR: CUDA out of memory",
                    "[Error] timeout",
                ),
                *(
                    "Traceback (most recent call last):",
                    "推理失败",
                    "【请求超时】",
                    "错误: 图片加载失败",
                ),
            )
        ),
        ("a\nb", "multiple_lines"),
        ("a\u2028b", "multiple_lines"),
        ("a<|im_end|>", "special_token"),
        ("<|image_pad|>", "special_token"),
        ("BBU设备 [12, 30, 400, 500]", "coordinates"),
        ("BBU设备（460,66）", "coordinates"),
        ('{"bbox_2d": 1}', "coordinates"),
    ],
)
def test_refused(text: str, code: str) -> None:
    with pytest.raises(FormatError) as caught:
        summary.parse(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "text", ["无关图片", "标签/ERROR-5×1", "标签/N/A×1", "螺丝/安装方向错误×1"]
)
def test_a_line_may_hold_the_words_of_errors(text: str) -> None:
    assert summary.parse(text) == text


def test_numbers_that_are_no_coordinates_are_kept() -> None:
    assert summary.parse("标签/QC-2023,12 (3) ×2") == "标签/QC-2023,12 (3) ×2"


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        line = summary.parse(text)
    except FormatError:
        return
    assert line
    assert len(line.splitlines()) == 1
