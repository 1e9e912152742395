"""Rows of other tools: what is missing, spelled otherwise, or unknown."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shenhe.errors import RowError
from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.rows.fields import folded
from shenhe.rows.keys import key_of, mission_of_file
from shenhe.rows.manifest import manifest_file
from shenhe.rows.outcomes import read_outcomes
from shenhe.rows.readers import (
    read_at,
    read_each,
    read_keyed,
    read_summaries,
    read_verdicts,
    read_with_offsets,
)
from shenhe.rows.row_index import RowIndex
from shenhe.rows.verdict_inputs import describe_missing_lines, hash_inputs
from shenhe.shards import shard_path
from shenhe.values import FAIL, PASS

LINE = "BBU设备/华为/显示完整/无需安装×1"
LINES = {"图片_1": LINE}
META: dict[str, object] = {"prompt_hash": "p", "checkpoint": "c", "answers": {}}
MISSION = "挡风板安装检查"
GAP = "a gap"
PLAIN = f"{PASS}\n理由: 图片_1 显示完整"

Fields = Mapping[str, object]


def _text(row: object) -> str:
    return row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)


def _write(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(_text(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / f"{MISSION}.jsonl"


ODD_SUMMARIES: dict[str, tuple[object, Fields]] = {
    "the least": ({"group_id": "g", "per_image": LINES}, {"mission": MISSION, "label": None}),
    "no photos named": ({"group_id": "g", "per_image": LINES}, {"images": ["图片_1"]}),
    "no time": ({"group_id": "g", "per_image": LINES}, {"timestamp": ""}),
    "null everywhere": (
        dict.fromkeys(("mission", "label", "images", "timestamp", "meta", "extra"))
        | {"group_id": "g", "per_image": LINES},
        {"mission": MISSION, "label": None, "images": ["图片_1"], "timestamp": "", "extra": {}},
    ),
    "empty texts": (
        {"group_id": "g", "mission": "", "label": "", "per_image": LINES},
        {"mission": MISSION, "label": None},
    ),
    "a mission of its own": (
        {"group_id": "g", "mission": "BBU线缆布放要求", "per_image": LINES},
        {"mission": "BBU线缆布放要求"},
    ),
    "a label in capitals": (
        {"group_id": "g", "label": "PASS", "per_image": LINES},
        {"label": "pass"},
    ),
    "a label with blanks": (
        {"group_id": "g", "label": " Fail ", "per_image": LINES},
        {"label": "fail"},
    ),
    "a wide label": ({"group_id": "g", "label": "ＰＡＳＳ", "per_image": LINES}, {"label": "pass"}),
    "a folder's name": (
        {"group_id": "g", "label": "审核通过", "per_image": LINES},
        {"label": "pass"},
    ),
    "the other folder": (
        {"group_id": "g", "label": "审核不通过", "per_image": LINES},
        {"label": "fail"},
    ),
    "a verdict for a label": (
        {"group_id": "g", "label": FAIL, "per_image": LINES},
        {"label": "fail"},
    ),
    "a number for an id": ({"group_id": 1017, "per_image": LINES}, {"group_id": "1017"}),
    "an id as a table writes it": ({"group_id": 1017.0, "per_image": LINES}, {"group_id": "1017"}),
    "keys image_N": ({"group_id": "g", "per_image": {"image_1": LINE}}, {"per_image": LINES}),
    "keys Image N": ({"group_id": "g", "per_image": {"Image 1": LINE}}, {"per_image": LINES}),
    "keys without a mark": ({"group_id": "g", "per_image": {"图片1": LINE}}, {"per_image": LINES}),
    "wide digits": ({"group_id": "g", "per_image": {"图片_１": LINE}}, {"per_image": LINES}),
    "leading zeros": (
        {"group_id": "g", "per_image": {"image_02": "b", "image_01": "a"}},
        {"per_image": {"图片_1": "a", "图片_2": "b"}},
    ),
    "ten before two": (
        {"group_id": "g", "per_image": {f"image_{n}": str(n) for n in (10, *range(1, 10))}},
        {"per_image": {f"图片_{n}": str(n) for n in range(1, 11)}},
    ),
    "our keys, out of order": (
        {"group_id": "g", "per_image": {"图片_2": "b", "图片_1": "a"}, "images": ["1", "2"]},
        {"per_image": {"图片_1": "a", "图片_2": "b"}, "images": ["1", "2"]},
    ),
    "a whole row with keys image_N": (
        {
            "group_id": "g",
            "mission": MISSION,
            "label": None,
            "images": ["1", "2"],
            "per_image": {"image_2": "b", "image_1": "a"},
            "timestamp": "t",
            "meta": META,
        },
        {"per_image": {"图片_1": "a", "图片_2": "b"}, "extra": {}},
    ),
    "a list of lines": (
        {"group_id": "g", "per_image": ["a", "b"]},
        {"images": ["图片_1", "图片_2"]},
    ),
    "one photo as a text": (
        {"group_id": "g", "per_image": LINES, "images": "QC-1_1.jpg"},
        {"images": ["QC-1_1.jpg"]},
    ),
    "base names": (
        {"group_id": "g", "per_image": LINES, "images": ["QC-1_1.jpg"]},
        {"images": ["QC-1_1.jpg"]},
    ),
    "unknown keys": (
        {"group_id": "g", "per_image": LINES, "site": "S1", "重试": 2, "gps": [1.5, None]},
        {"extra": {"site": "S1", "重试": 2, "gps": [1.5, None]}},
    ),
    "extra inside": (
        {"group_id": "g", "per_image": LINES, "extra": {"site": {"name": "S1"}}},
        {"extra": {"site": {"name": "S1"}}},
    ),
    "extra inside, and unknown keys": (
        {"group_id": "g", "per_image": LINES, "extra": {"site": "S1"}, "team": 4},
        {"extra": {"site": "S1", "team": 4}},
    ),
    "extra inside that says otherwise": (
        {"group_id": "g", "per_image": LINES, "extra": {"site": "S1"}, "site": "S2"},
        {"extra": {"site": "S2", "extra": {"site": "S1"}}},
    ),
    "extra that is no object": (
        {"group_id": "g", "per_image": LINES, "extra": ["S1"]},
        {"extra": {"extra": ["S1"]}},
    ),
    "a verdict beside": (
        {"group_id": "g", "per_image": LINES, "verdict": PASS, "status": "undecided"},
        {"extra": {"verdict": PASS, "status": "undecided"}},
    ),
    "meta as a list": (
        {"group_id": "g", "per_image": LINES, "meta": ["v2"]},
        {"extra": {"meta": ["v2"]}},
    ),
    "meta of another form": (
        {"group_id": "g", "per_image": LINES, "meta": {"checkpoint": 500, "answers": "a"}},
        {"extra": {"meta": {"checkpoint": 500, "answers": "a"}}},
    ),
    "a time in seconds": (
        {"group_id": "g", "per_image": LINES, "timestamp": 1700000000},
        {"timestamp": "1700000000"},
    ),
    "a time as an object": (
        {"group_id": "g", "per_image": LINES, "timestamp": {"s": 1}},
        {"timestamp": "", "extra": {"timestamp": {"s": 1}}},
    ),
    "no line": ({"group_id": "g", "per_image": {}, "images": ["1"]}, {GAP: True}),
    "a null for a line": ({"group_id": "g", "per_image": {"图片_1": None}}, {GAP: True}),
    "a blank line": ({"group_id": "g", "per_image": {"图片_1": " "}}, {GAP: True}),
    "fewer lines than photos": (
        {"group_id": "g", "per_image": LINES, "images": ["1", "2", "3"]},
        {GAP: True},
    ),
    "no photo, they say": ({"group_id": "g", "per_image": LINES, "images": []}, {GAP: True}),
    "a missing number": (
        {"group_id": "g", "per_image": {"image_1": "a", "image_3": "c"}},
        {"per_image": {"图片_1": "a", "图片_3": "c"}, GAP: True},
    ),
    "counted from zero": (
        {"group_id": "g", "per_image": {"image_0": "a", "image_1": "b"}},
        {GAP: True},
    ),
    "one number twice": (
        {"group_id": "g", "per_image": {"image_1": "a", "图片_1": "b"}},
        {"per_image": {"image_1": "a", "图片_1": "b"}, GAP: True},
    ),
    "keys without a number": ({"group_id": "g", "per_image": {"overview": "a"}}, {GAP: True}),
    "a number beyond all": (
        {"group_id": "g", "per_image": {f"image_{'9' * 5000}": "a"}},
        {GAP: True},
    ),
    "a byte order mark": (
        codecs.BOM_UTF8.decode() + _text({"group_id": "g", "per_image": LINES}),
        {"per_image": LINES},
    ),
    "blank lines round it": (
        "\n\r\n" + _text({"group_id": "g", "per_image": LINES}) + "\n \n",
        {"per_image": LINES},
    ),
    "Windows line ends": (
        _text({"group_id": "g", "per_image": LINES}) + "\r",
        {"per_image": LINES},
    ),
    "no number": ('{"group_id": "g", "per_image": {"image_1": "a"}, "score": NaN}', {GAP: False}),
    "a huge line": (
        {"group_id": "g", "per_image": LINES, "log": "x" * 5_000_000},
        {"per_image": LINES},
    ),
    "nested deep": (
        {"group_id": "g", "per_image": LINES, "a": json.loads("[" * 60 + "]" * 60)},
        {},
    ),
}
"""A row, and fields of what is read; with GAP whether it has no line for each photo."""


@pytest.mark.parametrize("name", ODD_SUMMARIES)
def test_odd_stage_a_rows_are_read(name: str, path: Path) -> None:
    row, expected = ODD_SUMMARIES[name]
    _write(path, row)
    (typed,) = read_summaries(path)
    fields = typed.model_dump()
    assert {key: fields[key] for key in expected if key != GAP} == {
        key: value for key, value in expected.items() if key != GAP
    }
    gap = describe_missing_lines(len(typed.images), typed.per_image)
    assert bool(gap) is expected.get(GAP, False)
    _assert_read_alike(path, typed, SummaryRow)
    # What a verdict rests on is the same before and after, or it would be judged for ever.
    (keyed,) = read_keyed(path, SummaryRow)
    assert hash_inputs(keyed.json) == hash_inputs(typed.model_dump(mode="json"))


def _assert_read_alike(
    path: Path, typed: SummaryRow | VerdictRow, kind: type[SummaryRow | VerdictRow]
) -> None:
    """Every reader gives the same row, and every key is the same."""
    (keyed,) = read_keyed(path, kind)
    ((offset, row),) = read_with_offsets(path, kind)
    rows: list[SummaryRow | VerdictRow] = [keyed.parse(), row, read_at(path, offset, kind)]
    assert {row.to_json() for row in rows} == {typed.to_json()}
    assert keyed.key == typed.key
    of_file = partial(key_of, mission=mission_of_file(path))
    index = RowIndex(path, of_file, temporary=True, skip_bad=True)
    assert list(index.keys()) == [typed.key]
    index.close()
    written = _write(path.parent / "written" / path.name, typed.to_json())
    (again,) = read_summaries(written) if kind is SummaryRow else read_verdicts(written)
    assert again.to_json() == typed.to_json()


ODD_VERDICTS: dict[str, tuple[object, Fields]] = {
    "a verdict alone": (
        {"group_id": "g", "verdict": FAIL},
        {"mission": MISSION, "verdict": FAIL, "status": "decided", "p_pass": None, "reason": ""},
    ),
    "a text alone": (
        {"group_id": "g", "raw": PLAIN},
        {"verdict": PASS, "reason": "图片_1 显示完整", "status": "decided", "raw": PLAIN},
    ),
    "a text and nulls": (
        {"group_id": "g", "raw": PLAIN, "label": None, "p_pass": None, "timestamp": None},
        {"verdict": PASS, "label": None},
    ),
    "in English": ({"group_id": "g", "verdict": "PASS"}, {"verdict": PASS}),
    "in English, failed": ({"group_id": "g", "verdict": "Fail "}, {"verdict": FAIL}),
    "as folders say it": ({"group_id": "g", "verdict": "审核不通过"}, {"verdict": FAIL}),
    "a probability": ({"group_id": "g", "verdict": PASS, "p_pass": 0.25}, {"p_pass": 0.25}),
    "not a number": ('{"group_id": "g", "verdict": "通过", "p_pass": NaN}', {"p_pass": None}),
    "a percentage": ({"group_id": "g", "verdict": PASS, "p_pass": 97}, {"p_pass": None}),
    "a negative one": ({"group_id": "g", "verdict": PASS, "p_pass": -0.1}, {"p_pass": None}),
    "infinite": ('{"group_id": "g", "verdict": "通过", "p_pass": 1e999}', {"p_pass": None}),
    "a probability as a text": (
        {"group_id": "g", "verdict": PASS, "p_pass": "0.9"},
        {"p_pass": None},
    ),
    "a switch for one": ({"group_id": "g", "verdict": PASS, "p_pass": True}, {"p_pass": None}),
    "an unknown word": (
        {"group_id": "g", "verdict": "待定", "reason": "看不清", "p_pass": 0.4},
        {
            "verdict": None,
            "status": "undecided",
            "reason": "format: verdict '待定' is neither 通过 nor 不通过",
            "p_pass": 0.4,
            "extra": {"verdict": "待定", "reason": "看不清"},
        },
    ),
    "a word too many": ({"group_id": "g", "verdict": "通过。"}, {"verdict": None}),
    "not passed, in negation": ({"group_id": "g", "verdict": "未通过"}, {"verdict": None}),
    "a number for a verdict": ({"group_id": "g", "verdict": 1}, {"verdict": None}),
    "a switch for a verdict": ({"group_id": "g", "verdict": True}, {"verdict": None}),
    "an object for a verdict": ({"group_id": "g", "verdict": {"v": PASS}}, {"verdict": None}),
    "undecided": (
        {"group_id": "g", "verdict": None, "p_pass": 0.6, "reason": "unsure"},
        {"verdict": None, "status": "undecided", "p_pass": 0.6, "reason": "unsure"},
    ),
    "undecided, with a text": ({"group_id": "g", "verdict": None, "raw": PLAIN}, {"verdict": None}),
    "undecided by status": (
        {"group_id": "g", "verdict": PASS, "status": "undecided"},
        {"verdict": None, "status": "undecided"},
    ),
    "a text, and undecided by status": (
        {"group_id": "g", "raw": PLAIN, "status": "Undecided"},
        {"verdict": None},
    ),
    "another status": (
        {"group_id": "g", "verdict": PASS, "status": "done"},
        {"verdict": PASS, "status": "decided", "extra": {"status": "done"}},
    ),
    "a malformed text": (
        {"group_id": "g", "raw": "通过 理由: x"},
        {"verdict": None, "status": "undecided"},
    ),
    "no text": ({"group_id": "g", "raw": ""}, {"verdict": None}),
    "a null for a text": ({"group_id": "g", "raw": None}, {"verdict": None, "raw": ""}),
    "a list for a text": (
        {"group_id": "g", "raw": [PLAIN]},
        {"verdict": None, "raw": "", "extra": {"raw": [PLAIN]}},
    ),
    "a text that says otherwise": (
        {"group_id": "g", "verdict": PASS, "raw": f"{FAIL}\n理由: 缺少挡风板"},
        {"verdict": None, "status": "undecided"},
    ),
    "a text in another format": (
        {"group_id": "g", "verdict": FAIL, "raw": "Verdict: 不通过\nReason: x"},
        {"verdict": FAIL},
    ),
    "a reason of its own": (
        {"group_id": "g", "raw": PLAIN, "reason": "另有说明"},
        {"verdict": PASS, "reason": "另有说明"},
    ),
    "lines beside": (
        {"group_id": "g", "verdict": PASS, "per_image": LINES, "images": ["1"]},
        {"verdict": PASS, "extra": {"per_image": LINES, "images": ["1"]}},
    ),
    "unknown keys": (
        {"group_id": 5, "verdict": PASS, "label": "FAIL", "site": "S1", "extra": {"team": 1}},
        {"group_id": "5", "label": "fail", "extra": {"site": "S1", "team": 1}},
    ),
    "a whole row and a further key": (
        {
            "group_id": "g",
            "mission": MISSION,
            "label": "fail",
            "verdict": None,
            "reason": "",
            "p_pass": 0.6,
            "status": "undecided",
            "raw": PLAIN,
            "timestamp": "t",
            "meta": META | {"why": ["unsure"]},
            "site": "S1",
        },
        {"verdict": None, "p_pass": 0.6, "extra": {"site": "S1"}},
    ),
}


@pytest.mark.parametrize("name", ODD_VERDICTS)
def test_odd_verdict_rows_are_read(name: str, path: Path) -> None:
    row, expected = ODD_VERDICTS[name]
    _write(path, row)
    (typed,) = read_verdicts(path)
    fields = typed.model_dump()
    assert {key: fields[key] for key in expected} == expected
    _assert_read_alike(path, typed, VerdictRow)


def test_what_the_model_said_is_kept_of_an_undecided_row(path: Path) -> None:
    row = {"group_id": "g", "verdict": None, "raw": PLAIN, "p_pass": 0.8}
    malformed, doubtful = {"group_id": "h", "raw": "x"}, {"group_id": "i", "verdict": "?"}
    held_back = {"group_id": "j", "verdict": PASS, "meta": {"why": ["left_out"], "v": 2}}
    first, second, third, fourth = read_verdicts(_write(path, row, malformed, doubtful, held_back))
    assert (first.meta.ruling, first.meta.why, first.p_pass) == (PASS, [], 0.8)
    assert (second.meta.ruling, second.meta.why) == (None, ["format"])
    assert second.reason.startswith("format: verdict_line: ")
    assert (third.meta.ruling, third.meta.why) == (None, ["format"])
    assert (fourth.meta.why, fourth.extra["meta"]) == (["left_out"], held_back["meta"])


def test_what_was_left_out_is_known_of_every_tool(path: Path) -> None:
    left_out = [{"path": "更多.zip", "kind": "ZIP"}]
    row = {"group_id": "g", "per_image": LINES, "meta": {"left_out": left_out, "host": "a"}}
    (typed,) = read_summaries(_write(path, row))
    assert [file.path for file in typed.meta.left_out] == ["更多.zip"]
    damaged = row | {"meta": {"left_out": ["更多.zip"]}}
    with pytest.raises(RowError, match=r"line 1 is not a Stage-A row: meta\.left_out\.0"):
        list(read_summaries(_write(path, damaged)))


WORDS = (PASS, FAIL, "pass", "FAIL", "审核通过", "undecided", "decided", "", "x", PLAIN)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["图片_1", "image_2", "Image 1", "prompt_hash", "x"]), inner
        )
    ),
    max_leaves=6,
)
NAMES = (*VerdictRow.model_fields, *SummaryRow.model_fields, "site")


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES), st.booleans())
def test_whatever_is_in_a_row_it_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, row: dict[str, object], has_id: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / f"{MISSION}.jsonl"
    _write(path, ({"group_id": "g"} if has_id else {}) | row)
    for kind in (SummaryRow, VerdictRow):
        for keyed in read_each(path, kind):
            if isinstance(keyed, RowError):
                continue
            try:
                typed = keyed.parse()
            except RowError:
                continue
            assert typed.key == keyed.key
            assert kind.model_validate_json(typed.to_json()).key == typed.key
            if isinstance(typed, SummaryRow):
                assert hash_inputs(keyed.json) == hash_inputs(typed.model_dump(mode="json"))
            elif (
                isinstance(typed, VerdictRow) and typed.verdict == PASS
            ):  # it was said in plain words, and nothing says otherwise
                said = folded(str(row.get("verdict", row.get("raw"))))
                assert said in (PASS, f"审核{PASS}", "pass", folded(PLAIN))
                assert folded(str(row.get("status"))) != "undecided"


BAD_LINES: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "is not JSON"),
    "a list": ("[]", "is not a JSON object"),
    "a text": ('"通过"', "is not a JSON object"),
    "two rows in a line": ('{"group_id": "a"}{"group_id": "b"}', "is not JSON"),
    "a line twice": (
        '{"group_id": "g", "per_image": {"图片_1": "无保护措施", "图片_1": "符合要求"}}',
        "its key '图片_1' stands twice",
    ),
    "a line twice in a whole row": (
        _text(
            {"group_id": "g", "mission": MISSION, "label": None, "images": ["1"]}
            | {
                "timestamp": "t",
                "meta": META,
                "per_image": {"图片_1": "无保护措施", "x": "符合要求"},
            }
        ).replace('"x"', '"图片_1"'),
        "its key '图片_1' stands twice",
    ),
    "all lines twice": (
        '{"group_id": "g", "per_image": {"图片_1": "无"}, "per_image": {"图片_1": "有"}}',
        "its key 'per_image' stands twice",
    ),
    "an id twice": (
        '{"group_id": "g", "per_image": {"图片_1": "a"}, "group_id": "h"}',
        "its key 'group_id' stands twice",
    ),
    "zero bytes": ("\0" * 20, "is not JSON"),
    "half a character": ('{"group_id": "\\ud800", "per_image": {"image_1": "a"}}', "is not JSON"),
    "nested deeper than is carried": (
        '{"group_id": "g", "per_image": {"image_1": "a"}, "a": ' + "[" * 150 + "]" * 150 + "}",
        "extra: Value error, nested deeper than 64 levels",
    ),
    "nested too deep": ('{"group_id": "g", "a": ' + "[" * 5000, "is not JSON"),
    "no id": ('{"per_image": {"image_1": "a"}}', "a row lacks 'group_id'"),
    "an empty id": ('{"group_id": "", "per_image": {"image_1": "a"}}', "a row lacks 'group_id'"),
    "a null for an id": ('{"group_id": null, "per_image": {}}', "a row lacks 'group_id'"),
    "no number for an id": ('{"group_id": NaN, "per_image": {}}', "a row lacks 'group_id'"),
    "a switch for an id": ('{"group_id": true, "per_image": {}}', "a row lacks 'group_id'"),
    "no lines": ('{"group_id": "g"}', "a row has no 'per_image'"),
    "a text for lines": (
        '{"group_id": "g", "per_image": "a"}',
        "'per_image' of a row is no object",
    ),
    "numbers for lines": (
        '{"group_id": "g", "per_image": {"image_1": 5}}',
        "'per_image' of a row holds something that is no text",
    ),
    "a number for photos": (
        '{"group_id": "g", "per_image": {}, "images": 5}',
        "'images' of a row is no list of texts",
    ),
    "an unknown label": (
        '{"group_id": "g", "per_image": {}, "label": "NG"}',
        "'label' of a row is 'NG': neither pass nor fail",
    ),
    "a mission that is no text": (
        '{"group_id": "g", "per_image": {}, "mission": 5}',
        "a row lacks 'mission'",
    ),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_one_bad_line_is_told_and_the_others_are_read(name: str, path: Path) -> None:
    line, problem = BAD_LINES[name]
    good = {"group_id": "g", "per_image": LINES}
    _write(path, good, line, good | {"group_id": "h"})
    message = f"{MISSION}.jsonl: 1 line could not be read: line 2 .*{problem}"
    with pytest.warns(UserWarning, match=message):
        assert [row.group_id for row in read_summaries(path)] == ["g", "h"]
    with pytest.warns(UserWarning, match=message):
        assert [row.group_id for _, row in read_with_offsets(path, SummaryRow)] == ["g", "h"]
    errors = []
    for row in read_each(path, SummaryRow):
        try:
            if isinstance(row, RowError):
                raise row
            row.parse()
        except RowError as error:
            errors.append((error.number, error.problem))
    ((number, described),) = errors
    assert number == 2
    assert problem in described


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('{"group_id": "g", "verdict": "不通过", "reason": "x", "verdict": "通过"}', "verdict"),
        ('{"group_id": "g", "raw": "不通过\\n理由: x", "raw": "通过\\n理由: y"}', "raw"),
        ('{"group_id": "h", "verdict": "通过", "group_id": "g"}', "group_id"),
        ('{"group_id": "g", "verdict": "通过", "p_pass": 0.1, "p_pass": 0.99}', "p_pass"),
        (
            '{"group_id": "g", "verdict": "通过", "status": "undecided", "status": "decided"}',
            "status",
        ),
        ('{"group_id": "g", "verdict": "通过", "reason": "漏装", "reason": "好"}', "reason"),
    ],
)
def test_a_verdict_row_that_says_two_things_is_no_row(line: str, key: str, path: Path) -> None:
    _write(path, {"group_id": "a", "verdict": PASS}, line)
    with pytest.warns(UserWarning, match=f"line 2 .*its key '{key}' stands twice"):
        assert [row.group_id for row in read_verdicts(path)] == ["a"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"reason": ["挡风板装反", "其余正常"]}, "挡风板装反；其余正常"),
        ({"reason": {"结论": "挡风板装反"}}, '{"结论": "挡风板装反"}'),
        ({"reason": [{"图片_1": "装反"}]}, '[{"图片_1": "装反"}]'),
        ({"理由": "挡风板装反"}, "挡风板装反"),
        ({"reason": None, "explanation": "挡风板装反"}, "挡风板装反"),
        ({"reason": "", "理由": "装反"}, "装反"),
        ({"原因": "people's words", "raw": PLAIN}, "图片_1 显示完整"),
    ],
)
def test_a_reason_is_read_in_any_form(row: dict[str, object], reason: str, path: Path) -> None:
    _write(path, {"group_id": "a", "verdict": PASS} | row)
    assert [read.reason for read in read_verdicts(path)] == [reason]


@pytest.mark.parametrize("key", ["verdict", "raw", "reason", "p_pass", "status"])
def test_nor_is_a_row_of_shenhe_that_says_two_things(key: str, path: Path) -> None:
    _write(path, {"group_id": "a", "raw": PLAIN, "p_pass": 0.9})
    (row,) = read_verdicts(path)
    counts = dict.fromkeys(("attempts", "prompt_tokens", "new_tokens"), 1)
    answer = {"verdict": {"raw": PLAIN, "finish_reason": "stop", "repairs": []} | counts}
    whole = row.model_dump(mode="json") | {"extra": {}}
    whole["meta"] |= {"prompt_hash": "0", "answers": answer}
    line = json.dumps(whole, ensure_ascii=False)
    _write(
        path,
        {"group_id": "b", "verdict": PASS},
        "{" + f'"{key}": {json.dumps(whole[key])}, ' + line[1:],
    )
    with pytest.warns(UserWarning, match=f"line 2 .*its key '{key}' stands twice"):
        assert [read.group_id for read in read_verdicts(path)] == ["b"]


def test_a_verdict_row_may_quote_its_own_keys(path: Path) -> None:
    reason = '"verdict" "verdict" "raw"'
    _write(path, {"group_id": "a", "verdict": PASS, "reason": reason, "verdict_of": {"raw": "x"}})
    assert [row.reason for row in read_verdicts(path)] == [reason]


def test_many_bad_lines_are_counted_over_all_shards(path: Path) -> None:
    _write(path, {"group_id": "g", "verdict": PASS}, "x", "[]")
    _write(shard_path(path, 2), {"group_id": "h"}, "{", {"group_id": "i", "raw": PLAIN})
    with pytest.warns(UserWarning, match="could not be read") as caught:
        rows = list(read_verdicts(path))
    assert [(row.group_id, row.mission) for row in rows] == [("g", MISSION), ("i", MISSION)]
    (warning,) = caught
    listed = (
        f"line 2 is not JSON; line 3 is not a JSON object; {path.stem}.0002.jsonl, line 1 is not"
    )
    text = str(warning.message)
    assert text.startswith(f"{path}: 4 lines could not be read: {listed}")
    assert text.endswith("; +1")
    assert len(text.splitlines()) == 1


def test_a_file_that_was_cut_off_is_told(path: Path) -> None:
    _write(path, *({"group_id": n, "per_image": LINES} for n in range(3)))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="1 line could not be read: line 3 ends in the middle"):
        assert len(list(read_summaries(path))) == 2
    path.write_bytes(path.read_bytes()[:9])
    with pytest.raises(RowError, match="line 1 ends in the middle of a row"):
        list(read_summaries(path))


def test_in_an_output_of_shenhe_nothing_may_be_missing(path: Path) -> None:
    _write(path, {"group_id": "g", "verdict": PASS}, "{")
    manifest_file(path).write_text("{}")
    with pytest.raises(
        RowError, match="line 2 is not JSON; mend or remove it, or have `shenhe fsck"
    ):
        list(read_verdicts(path))


def test_outcomes_of_rows_of_other_tools(tmp_path: Path) -> None:
    _write(
        tmp_path / f"{MISSION}.jsonl",
        {"group_id": 1, "label": "FAIL", "verdict": "pass", "p_pass": math.nan, "site": "S1"},
        {"group_id": 2, "label": "审核通过", "raw": PLAIN, "p_pass": 0.9},
    )
    first, second = read_outcomes(tmp_path)
    assert (first.label, first.verdict, first.p_pass, first.right) == ("fail", PASS, None, False)
    assert (second.mission, second.right, second.p_pass) == (MISSION, True, 0.9)
