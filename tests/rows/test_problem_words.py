"""No code of ours stands in a Chinese reason: files that were not looked at."""

from __future__ import annotations

import re

import pytest

from shenhe.errors import FormatError
from shenhe.formats import verdict
from shenhe.row_types import Failure
from shenhe.rows.problem_words import (
    KIND_WORDS,
    VERDICT_WORDS,
    describe_failed,
    words_of_malformed,
)
from shenhe.runs.row_parts import MAX_NAMED, describe_left_out
from shenhe.values import LEFT_OUT, LeftOut


def _describe(*files: LeftOut) -> str:
    message = f"not looked at: {describe_left_out(files)}"
    return describe_failed(
        Failure(
            item="QC-1",
            mission="m",
            group_id="QC-1",
            label=None,
            code=LEFT_OUT,
            message=message,
            raw=None,
            attempts=1,
            timestamp="2026-11-26T10:00:00Z",
        )
    )


@pytest.mark.parametrize("kind", KIND_WORDS)
def test_what_is_known_of_a_file_is_said_in_chinese(kind: str) -> None:
    text = _describe(LeftOut("补充/1.jpg", kind), LeftOut("2.zip", "zip"))
    assert text.startswith("未查看: 补充/1.jpg（")
    assert not re.search(rf"\b{kind}\b|not looked", text)
    assert "2.zip (zip)" in text


def test_of_many_files_the_rest_is_counted() -> None:
    files = [LeftOut(f"{number}.jpg", "unfinished") for number in range(MAX_NAMED + 3)]
    text = _describe(*files)
    assert text.endswith("（没有传完），另有 3 个")
    assert text.count("没有传完") == MAX_NAMED


def test_a_name_that_reads_like_a_code_stays_as_it_is() -> None:
    assert "a (unknown).jpg (zip)" in _describe(LeftOut("a (unknown).jpg", "zip"))


MALFORMED = (
    *(
        "",
        "<think>通过",
        "合格\n理由: 好",
        "通过",
        "通过\n好",
        "通过\n理由: ",
        "通过\n理由: 好\n好",
    ),
    "通过\n理由: <|im_end|>",
)


def test_each_way_to_break_a_verdict_has_words() -> None:
    codes = set()
    for text in MALFORMED:
        with pytest.raises(FormatError) as raised:
            verdict.parse(text)
        codes.add(raised.value.code)
        words = words_of_malformed(f"{raised.value.code}: {raised.value}")
        assert not re.search("[a-z]", words.zh)
        assert str(raised.value) in words.en
    assert codes == VERDICT_WORDS.keys()
