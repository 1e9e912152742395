"""When a verdict stands: probabilities between the thresholds, and votes that disagree, do not."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from shenhe.config import Mission, load_missions, load_prompts
from shenhe.errors import UsageError
from shenhe.formats import verdict as verdict_format
from shenhe.messages import Answer, Request
from shenhe.row_types import SummaryRow, VerdictRow
from shenhe.runs import (
    RunCounts,
    RunOptions,
    VerdictPolicy,
    find_stage_a,
    plan_verdicts,
    run_verdicts,
)
from shenhe.runs.deciding import policy_of_mission
from shenhe.runs.verdict_policy import p_pass
from shenhe.runs.verdict_rows import VerdictRecords
from shenhe.runs.work import Outcome, Rejection, Success
from shenhe.values import FAIL, PASS, Judgement
from tests.scripted import ScriptedEngine


def _said(text: str, p_pass: float | None = None) -> Outcome[Judgement]:
    logprobs = {} if p_pass is None else {PASS: math.log(p_pass), FAIL: math.log(1 - p_pass)}
    answer = Answer("k", text, "stop", 1, 1, choice_logprobs=logprobs)
    if text.startswith((PASS, FAIL)):
        return Success(verdict_format.parse(text), answer)
    return Rejection("verdict_line", "no verdict", 1, answer)


def _decide(outcomes: Sequence[Outcome[Judgement]], policy: VerdictPolicy) -> VerdictRow:
    """Decide a group of a mission without evidence rules."""
    records = VerdictRecords("", "", policy_of_mission(policy, "外观检查", None))
    row = records.judged(_summary("g", "外观检查", "好"), policy.count_votes(outcomes)).row
    assert isinstance(row, VerdictRow)
    return row


YES, NO = "通过\n理由: 好", "不通过\n理由: 坏"


@pytest.mark.parametrize(
    ("outcomes", "above", "below", "ruling", "why"),
    [
        ([_said(YES, 0.6)], None, None, PASS, ""),
        ([_said(YES, 0.6)], 0.9, 0.1, None, "通过 with p_pass 0.600, not at least 0.9"),
        ([_said(YES, 0.95)], 0.9, 0.1, PASS, ""),
        ([_said(NO, 0.05)], 0.9, 0.1, FAIL, ""),
        ([_said(NO, 0.4)], 0.9, 0.1, None, "不通过 with p_pass 0.400, not at most 0.1"),
        ([_said(NO, 0.4)], 0.9, None, FAIL, ""),
        ([_said(YES)], 0.9, None, None, "nothing is known of its probability"),
        ([_said("待定")], 0.9, None, None, "no verdict"),
        ([_said(YES, 0.6), _said(NO, 0.6), _said(YES, 0.6)], None, None, PASS, ""),
        ([_said(YES, 0.6), _said(NO, 0.6)], None, None, None, "1 不通过, 1 通过: no majority"),
        ([_said(YES, 0.6), _said("?"), _said("?")], None, None, None, "1 通过: no majority"),
        ([_said(NO, 0.6), _said(NO, 0.6), _said("?")], None, None, FAIL, ""),
        ([_said("?"), _said("?")], None, None, None, "no verdict"),
        ([_said(YES, 0.6)] * 3, 0.9, None, None, "通过 with p_pass 0.600"),
    ],
)
def test_when_a_verdict_stands(
    outcomes: Sequence[Outcome[Judgement]],
    above: float | None,
    below: float | None,
    ruling: str | None,
    why: str,
) -> None:
    row = _decide(outcomes, VerdictPolicy(above, below, len(outcomes)))
    assert row.verdict == ruling
    assert why in (row.reason if ruling is None else "")


@pytest.mark.parametrize(
    "scores",
    [
        {PASS: math.nan, FAIL: math.nan},
        {PASS: -0.01, FAIL: math.nan},
        {PASS: -0.01, FAIL: -math.inf},
        {PASS: math.inf, FAIL: -1.0},
        {PASS: 0.9, FAIL: -2.0},
        {PASS: None, FAIL: None},
        {PASS: "-0.01", FAIL: "-9"},
        {PASS: True, FAIL: -1},
        {PASS: -0.01, FAIL: -(10**400)},
        {PASS: -0.01},
        {},
    ],
)
@pytest.mark.parametrize("text", [YES, NO])
def test_a_score_that_is_no_number_is_not_known(scores: dict[str, float], text: str) -> None:
    answer = Answer("k", text, "stop", 1, 1, choice_logprobs=scores)
    assert p_pass(answer) is None
    outcome = Success(verdict_format.parse(text), answer)
    for above, below in ((0.0, 0.0), (1.0, 1.0), (0.999, 0.001)):
        row = _decide([outcome], VerdictPolicy(above, below))
        assert (row.verdict, row.meta.why, row.meta.log_odds) == (None, ["unsure"], None)
    assert _decide([outcome], VerdictPolicy()).verdict is not None


def test_what_cannot_be_asked_for() -> None:
    for options, message in (
        ({"pass_above": 1.5}, "--pass-above 1.5: must be from 0 to 1"),
        ({"fail_below": -0.1}, "--fail-below -0.1"),
        ({"pass_above": math.nan}, "--pass-above nan: must be from 0 to 1"),
        ({"fail_below": math.nan}, "--fail-below nan: must be from 0 to 1"),
        ({"pass_above": math.inf}, "--pass-above inf"),
        ({"fail_below": -math.inf}, "--fail-below -inf"),
        ({"pass_above": 0.2, "fail_below": 0.6}, "is less than --fail-below"),
        ({"votes": 0}, "--votes 0"),
    ):
        with pytest.raises(UsageError, match=message):
            VerdictPolicy(**options)


def _summary(group_id: str, mission: str, line: str) -> SummaryRow:
    return SummaryRow.model_validate(
        {
            "group_id": group_id,
            "mission": mission,
            "label": None,
            "images": ["/a.jpg"],
            "per_image": {"图片_1": line},
            "timestamp": "2026-01-01T00:00:00.000000Z",
            "meta": {"prompt_hash": "p", "checkpoint": "c", "answers": {}},
        }
    )


def _stage_a(folder: Path, groups: int) -> Mission:
    """Write the Stage-A rows of some groups."""
    mission = load_missions().get("挡风板安装检查")
    for number in range(groups):
        row = _summary(f"QC-{number}", mission.name, "BBU设备/华为/显示完整/无需安装×1")
        with (folder / f"{mission.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(row.to_json() + "\n")
    return mission


@pytest.mark.parametrize("written", ["NaN", "null", "0.2"])
def test_what_an_older_version_let_stand_is_done_anew(written: str, tmp_path: Path) -> None:
    _stage_a(tmp_path, 2)
    (source,) = find_stage_a(tmp_path, load_missions())
    engine = ScriptedEngine(lambda request: YES)
    template, out = load_prompts().verdict, tmp_path / "b"

    def judge() -> RunCounts:
        policy = VerdictPolicy(pass_above=0.8)
        how = RunOptions()
        return run_verdicts(
            engine, source, template, out, engine_options={}, run=how, policy=policy
        )

    assert judge().complete
    path = out / source.path.name
    first, second = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(re.sub(r'"p_pass":[0-9.]+', f'"p_pass":{written}', first) + second, "utf-8")
    engine.asked.clear()
    plan = plan_verdicts(source, out, RunOptions(), VerdictPolicy(pass_above=0.8))
    assert (plan.groups, plan.already) == (1, 1)
    counts = judge()
    assert (counts.already, counts.done, sum(counts.done_anew.values())) == (1, 1, 1)
    assert len(engine.asked) == 1
    assert not judge().done_anew


def test_votes_are_asked_for_and_written_once(tmp_path: Path) -> None:
    mission = _stage_a(tmp_path, 3)

    def script(request: Request) -> str:
        assert (request.temperature > 0) == ("\x1e" in request.key)
        return NO if "QC-1" in request.key or "\x1e2" in request.key else YES

    engine = ScriptedEngine(script)
    (source,) = find_stage_a(tmp_path, load_missions())
    counts = run_verdicts(
        engine,
        source,
        load_prompts().verdict,
        tmp_path / "b",
        engine_options={},
        run=RunOptions(),
        policy=VerdictPolicy(votes=3),
    )
    assert len(engine.asked) == 9
    assert counts.kept().done == 3
    text = (tmp_path / "b" / f"{mission.name}.jsonl").read_text(encoding="utf-8")
    rulings = {row["group_id"]: row["verdict"] for row in map(json.loads, text.splitlines())}
    assert rulings == {"QC-0": PASS, "QC-1": FAIL, "QC-2": PASS}
    manifest = (tmp_path / "b" / f"{mission.name}.manifest.json").read_text(encoding="utf-8")
    assert json.loads(manifest)["options"]["votes"] == 3
