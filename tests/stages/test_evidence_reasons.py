"""Reasons of a 通过, and whether they contradict it: evidence_reasons.jsonl; and the demo's own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypedDict

import pytest

from recipes.demo_checkpoint.groups import KINDS_OF, make_group
from shenhe.config import load_missions
from shenhe.stages.evidence import check, codes, find_contradiction
from shenhe.values import PASS, photo_key

HERE = Path(__file__).parent


class Row(TypedDict):
    """A reason; no mission: one without rules."""

    mission: str
    reason: str
    contradicts: bool


REASONS: list[Row] = [
    json.loads(row) for row in (HERE / "evidence_reasons.jsonl").read_text("utf-8").splitlines()
]
MISSIONS = load_missions()


@pytest.mark.parametrize("row", REASONS, ids=lambda row: row["reason"])
def test_a_reason_contradicts_or_not(row: Row) -> None:
    rules = MISSIONS.get(row["mission"]).evidence if row["mission"] else None
    assert bool(find_contradiction(row["reason"], rules)) == row["contradicts"]


def test_what_contradicts_is_told_in_the_words_of_the_reason() -> None:
    rules = MISSIONS.get("BBU线缆布放要求").evidence
    told = find_contradiction("光纤有保护措施；图片_1、图片_2 均未见 ODF端光纤插头。", rules)
    assert told == "图片_1、图片_2 均未见 ODF端光纤插头"


@pytest.mark.parametrize(
    ("fail_word", "reason", "contradicts"),
    [
        ("NG", "图片_1 OK; 总结: ＮＧ", True),
        ("NG", "标签/NG-RAN可以识别", False),
        ("fail", "Image1: Fail", True),
        ("不可以", "综上不可以", True),
        ("不合格", "未见不合格项", False),
        ("不通过", "螺丝符合要求，但没有通过", True),
        ("不通过", "综上，不建议通过", True),
    ],
)
def test_a_format_has_its_own_word_for_a_fail(
    fail_word: str, reason: str, contradicts: bool
) -> None:
    rules = MISSIONS.get("挡风板安装检查").evidence
    assert bool(find_contradiction(reason, rules, fail_word)) == contradicts


def test_a_reason_without_an_end_is_none() -> None:
    assert find_contradiction("螺丝符合要求，" * 5000)
    assert not find_contradiction("螺丝符合要求，" * 500)


@pytest.mark.parametrize("mission", KINDS_OF)
def test_groups_of_the_demo_are_told_apart(mission: str) -> None:
    rules = MISSIONS.get(mission).evidence
    assert rules is not None
    for seed in range(150):
        group = make_group(mission, f"evidence/{seed}")
        lines = {photo_key(index): line for index, line in enumerate(group.lines)}
        passes = group.judgement.verdict == PASS
        assert bool(find_contradiction(group.judgement.reason, rules)) != passes, group
        # The demo's rule is stricter: wires are needed, and a baffle that is missed on one photo
        # is missing though another photo shows it.
        if passes or not re.search("未按要求配备|未见电线", group.judgement.reason):
            assert bool(codes(check(lines, rules))) != passes, group
