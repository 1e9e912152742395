"""Verdict rows that claim what their own text does not say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shenhe.row_types import VerdictRow
from shenhe.rows.statements import statement_of
from shenhe.rows.verdict_inputs import describe_missing_lines
from shenhe.runs import VerdictPolicy
from shenhe.runs.decide.rows import GroupLines, decide_row
from shenhe.runs.deciding import policy_of_mission

CLAIM: dict[str, Any] = {
    "group_id": "g0",
    "mission": "挡风板安装检查",
    "label": None,
    "verdict": "通过",
    "reason": "符合要求",
    "p_pass": 0.9,
    "status": "decided",
    "raw": "通过\n理由: 符合要求",
    "timestamp": "t",
    "meta": {"prompt_hash": "p", "checkpoint": "c", "answers": {}, "ruling": "通过"},
}


def _row(**fields: Any) -> VerdictRow:
    return VerdictRow.model_validate_json(json.dumps(CLAIM | fields))


def test_a_claimed_ruling_is_none_where_the_text_says_otherwise() -> None:
    assert statement_of(_row()).ruling == "通过"
    assert statement_of(_row(raw="不通过\n理由: 缺螺丝")).ruling is None


@pytest.mark.parametrize(
    "raw", ["Verdict: 不通过\nReason: 缺螺丝", "不通过", "通过\n理由: a\n不通过"]
)
def test_a_text_in_another_form_is_part_of_the_reason(raw: str) -> None:
    assert "不通过" in statement_of(_row(raw=raw)).reason


def test_log_odds_that_contradict_the_probability_are_not_known() -> None:
    def odds(p_pass: float | None, log_odds: float) -> float | None:
        return statement_of(
            _row(p_pass=p_pass, meta=CLAIM["meta"] | {"log_odds": log_odds})
        ).log_odds

    assert odds(0.1, 99.0) is None
    assert odds(1.0, 99.0) == 99.0
    assert odds(0.9, 2.1972245773362196) == 2.1972245773362196
    assert odds(0.90, 2.2) == 2.2  # a tool that rounds


@pytest.mark.parametrize("line", ["", " ", "\u200b", "\ufeff\u2060", "\u3164", "\u00a0\u00ad"])
def test_a_line_that_nobody_can_see_is_none(line: str) -> None:
    assert describe_missing_lines(2, {"图片_1": "标签/A×1", "图片_2": line})
    assert not describe_missing_lines(1, {"图片_1": "…"})


def test_a_reason_that_held_a_pass_back_holds_it_back_again() -> None:
    policy = policy_of_mission(VerdictPolicy(evidence=False), CLAIM["mission"], None)
    row = _row(reason="此项不通过")
    for _ in range(3):
        row = decide_row(row, None, GroupLines(), policy, "t")
        assert (row.verdict, row.meta.why) == (None, ["contradiction"])
