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
