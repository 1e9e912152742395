"""Outcomes: what the model said of a group, whatever held it back, and when the group passes."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from shenhe.errors import RunError
from shenhe.row_types import VerdictMeta, VerdictRow
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions
from shenhe.rows.outcomes import Outcome, read_outcomes
from shenhe.values import FAIL, PASS, Label

MISSION = "BBU接地线检查"
READ = {"prompt_hash": "", "checkpoint": "", "answers": {}}


def make_row(
    group_id: str = "QC-1",
    label: Label | None = "fail",
    verdict: str | None = PASS,
    p_pass: object = 0.75,
    raw: str = "",
    reason: str = "螺丝符合要求",
    **meta: object,
) -> VerdictRow:
    row: dict[str, object] = {"group_id": group_id, "mission": MISSION, "label": label}
    row |= {"verdict": verdict, "status": "decided" if verdict else "undecided", "raw": raw}
    row |= {"p_pass": p_pass, "reason": reason, "timestamp": "2026-01-05T08:00:00.000000Z"}
    return VerdictRow.model_validate(row | {"meta": VerdictMeta.model_validate(READ | meta)})


def outcome(**fields: object) -> Outcome:
    return Outcome.of(make_row(**fields))  # type: ignore[arg-type]


def test_what_the_model_said_is_known_whatever_held_it_back() -> None:
    assert outcome().ruling == PASS
    assert outcome(verdict=None, reason="unsure", raw="不通过\n理由: 未拧紧").ruling == FAIL
    passed = "通过\n理由: 符合要求"
    assert outcome(verdict=None, why=["unsure"], raw=passed, ruling=FAIL).ruling == FAIL
    assert outcome(verdict=None, raw="通过。").ruling is None
    # Whatever a text says, a row that passes is one that passes.
    two_minds = outcome(verdict=PASS, raw="不通过\n理由: 未拧紧")
    assert (two_minds.ruling, two_minds.can_pass) == (None, True)
    assert not outcome(verdict=FAIL, raw="通过\n理由: 符合要求").can_pass


@pytest.mark.parametrize(
    ("fields", "log_odds"),
    [
        ({"p_pass": 0.75}, math.log(3)),
        ({"p_pass": 1}, math.inf),
        ({"p_pass": 0.0}, -math.inf),
        ({"p_pass": 1.0, "log_odds": 41.5}, 41.5),
        ({"p_pass": None}, None),
        ({"p_pass": math.nan}, None),
        ({"p_pass": 1.5}, None),
        ({"p_pass": 0.75, "log_odds": math.nan}, math.log(3)),
    ],
)
def test_log_odds(fields: Mapping[str, object], log_odds: float | None) -> None:
    expected = log_odds if log_odds is None else pytest.approx(log_odds)
    assert outcome(**fields).log_odds == expected


@pytest.mark.parametrize(
    ("fields", "can_pass", "readable"),
    [
        ({}, True, True),
        ({"verdict": FAIL}, False, True),
        ({"p_pass": None}, False, False),
        ({"verdict": FAIL, "p_pass": None}, False, True),
        # Cut by a threshold: a lower one lets it pass.
        ({"verdict": None, "ruling": PASS, "why": ["unsure"]}, True, True),
        ({"verdict": None, "reason": "unsure", "raw": "通过\n理由: 符合要求"}, True, True),
        ({"verdict": None, "ruling": PASS, "why": ["unsure"], "p_pass": None}, False, False),
        # Held back by rules that hold in production too.
        ({"verdict": None, "ruling": PASS, "why": ["unsure", "evidence_missing"]}, False, True),
        ({"verdict": None, "ruling": PASS, "why": ["contradiction"], "p_pass": 1}, False, True),
        # Not judged, or not on all of it.
        ({"verdict": None, "ruling": PASS, "why": ["left_out"]}, False, False),
        ({"verdict": None, "why": ["format"], "raw": "通过。"}, False, False),
        ({"verdict": None, "reason": "format: 通过。", "raw": "通过。"}, False, False),
        # Another tool says nothing but a probability.
        ({"verdict": None, "reason": "skipped"}, True, True),
        ({"verdict": None, "reason": "skipped", "p_pass": None}, False, False),
    ],
)
def test_when_a_group_can_pass(
    fields: Mapping[str, object], can_pass: bool, readable: bool
) -> None:
    group = outcome(**fields)
    assert (group.can_pass, group.readable) == (can_pass, readable)
    assert group.passes(-math.inf) == can_pass
    assert group.log_odds is None or group.passes(group.log_odds) == can_pass
    assert group.log_odds == math.inf or not group.passes(math.inf)


def _decide(run_dir: Path, key: str, choice: str, *, label_wrong: bool) -> None:
    Decisions(run_dir).add(
        Decision(
            key=key,
            group_id=key.rpartition("\x1f")[2],
            mission=MISSION,
            label="fail",
            verdict=PASS,
            version=1,
            opinion=Opinion.model_validate({"choice": choice, "label_wrong": label_wrong}),
            reviewer="李工",
            at="2026-11-20T09:00:00.000000Z",
        )
    )


def test_wrong_labels_are_put_right(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no verdicts there"):
        read_outcomes(tmp_path)
    rows = [make_row(f"QC-{number}") for number in range(4)]
    path = tmp_path / "stage_b" / f"{MISSION}.jsonl"
    path.parent.mkdir()
    path.write_text("".join(f"{row.to_json()}\n" for row in rows), encoding="utf-8")
    assert json.loads(path.read_text("utf-8").splitlines()[0])["label"] == "fail"
    _decide(tmp_path, rows[0].key, "通过", label_wrong=True)
    _decide(tmp_path, rows[1].key, "通过", label_wrong=False)
    _decide(tmp_path, rows[2].key, "待定", label_wrong=True)
    labels = {group.key: group.label for group in read_outcomes(tmp_path)}
    assert [labels[row.key] for row in rows] == ["pass", "fail", "fail", "fail"]
