"""Lines in the field's style, and what they are evidence of (evidence_lines.jsonl)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from shenhe.config import load_missions
from shenhe.stages.evidence import check, codes, describe
from shenhe.values import photo_key

HERE = Path(__file__).parent


class Case(TypedDict):
    """The lines of a group; `items` are states of some of its needs and faults."""

    mission: str
    lines: list[str]
    codes: list[str]
    why: str
    items: NotRequired[dict[str, str]]


CASES: list[Case] = [
    json.loads(row) for row in (HERE / "evidence_lines.jsonl").read_text("utf-8").splitlines()
]
MISSIONS = load_missions(HERE.parent.parent / "examples" / "rru" / "missions.toml")


def _name(case: Case) -> str:
    return f"{case['mission']}: {case['why']}"


def test_there_are_groups_of_every_mission_and_outcome() -> None:
    assert len(CASES) >= 200
    outcomes = Counter((case["mission"], tuple(case["codes"])) for case in CASES)
    for mission in load_missions():
        for expected in ((), ("evidence_missing",), ("evidence_against",)):
            assert outcomes[mission.name, expected] >= 2, (mission.name, expected)


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_lines_are_evidence_as_expected(case: Case) -> None:
    rules = MISSIONS.get(case["mission"]).evidence
    assert rules is not None
    items = check({photo_key(index): line for index, line in enumerate(case["lines"])}, rules)
    assert codes(items) == case["codes"], describe(items)
    states = {item.item: item.state for item in items}
    assert case.get("items", {}).items() <= states.items()
    assert bool(describe(items)) == bool(case["codes"])
