"""Rows: frozen, strict, stable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shenhe.row_types import CaptionFailure, Failure, VerdictRow
from shenhe.values import group_key, photo_key

ROW = {
    "item": "a.jpg",
    "group_id": "g",
    "mission": "m",
    "label": None,
    "code": "missing",
    "message": "no such file",
    "timestamp": "t",
}


def test_rows_carry_their_schema_and_refuse_unknown_keys() -> None:
    row = Failure.model_validate(ROW)
    assert json.loads(row.to_json())["schema"] == 1
    assert Failure.model_validate_json(row.to_json()) == row
    with pytest.raises(ValidationError):
        Failure.model_validate(ROW | {"odd": 1})
    with pytest.raises(ValidationError):
        row.code = "x"


@pytest.mark.parametrize(
    ("kind", "subject"),
    [(Failure, ["group_id", "mission", "label"]), (CaptionFailure, ["images"])],
)
def test_fields_of_failures_keep_their_order(
    kind: type[Failure | CaptionFailure], subject: list[str]
) -> None:
    row = {"images": ["a.jpg"]} if kind is CaptionFailure else {"group_id": "g", "mission": "m"}
    content = {name: value for name, value in ROW.items() if name not in ("group_id", "mission")}
    if kind is CaptionFailure:
        del content["label"]
    names = list(json.loads(kind.model_validate(content | row).to_json()))
    reason = ["code", "message", "raw", "attempts", "timestamp", "session"]
    assert names == ["schema", "item", *subject, *reason]


def test_rows_are_one_line_and_keep_chinese() -> None:
    text = Failure.model_validate(ROW | {"message": "损坏\n😀"}).to_json()
    assert "\n" not in text
    assert "损坏" in text


def test_keys() -> None:
    assert photo_key(0) == "图片_1"
    assert group_key("m", "pass", "g") != group_key("m", "fail", "g") != group_key("m", None, "g")


@pytest.mark.parametrize(("verdict", "status"), [("通过", "undecided"), (None, "decided")])
def test_a_verdict_stands_exactly_where_it_is_decided(verdict: str | None, status: str) -> None:
    row: dict[str, Any] = dict.fromkeys(("group_id", "mission", "reason", "raw"), "x")
    row |= {"label": None, "p_pass": None, "timestamp": "t", "verdict": verdict, "status": status}
    row["meta"] = {"prompt_hash": "", "checkpoint": "", "answers": {}}
    with pytest.raises(ValidationError, match="contradicts"):
        VerdictRow.model_validate(row)


@pytest.mark.parametrize(
    "told", ["NaN", "Infinity", "-Infinity", "1.5", "-0.1", "1e400", '"0.97"', "true", "[0.9]"]
)
def test_a_probability_that_is_none_is_not_known(told: str) -> None:
    row: dict[str, Any] = dict.fromkeys(("group_id", "mission", "reason", "raw"), "x")
    row |= {"label": None, "verdict": "通过", "status": "decided", "timestamp": "t"}
    row["meta"] = {"prompt_hash": "", "checkpoint": "", "answers": {}}
    row["p_pass"] = json.loads(told)
    read = VerdictRow.model_validate(row)
    assert read.p_pass is None
    assert json.loads(read.to_json())["p_pass"] is None
    assert VerdictRow.model_validate(row | {"p_pass": 1}).p_pass == 1.0
