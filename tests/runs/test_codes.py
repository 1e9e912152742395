"""Every code for which a 通过 does not stand, from the rows of a run and of its failures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from shenhe.errors import OptionsChangedError, UsageError
from shenhe.messages import Request
from shenhe.rows.promise_fingerprints import fingerprint_of_run
from shenhe.rows.promises import Fingerprint, MissionPromise, Promise
from shenhe.runs import VerdictPolicy
from shenhe.values import FAIL, PASS
from tests.runs.judged import BAFFLE, FIBRES, GROUND, MISSIONS, PASSED, WHOLE, Judged

STATED_FAULT = {
    "图片_1": "BBU设备/华为,只显示部分,无需安装×1，光纤/有保护措施,弯曲半径合理/蛇形管×3，"
    "螺丝、光纤插头/BBU端光纤插头,符合要求×3",
    "图片_2": "光纤/无保护措施,弯曲半径合理×1，标签/NR900-备用-光纤×1，"
    "螺丝、光纤插头/ODF端光纤插头,符合要求×1",
    "图片_3": "标签/无法识别×2",
}


@pytest.fixture
def baffle(tmp_path: Path) -> Judged:
    return Judged(tmp_path, BAFFLE)


def test_a_stated_fault_holds_a_pass_back_and_names_the_photo(tmp_path: Path) -> None:
    case = Judged(tmp_path, FIBRES)
    case.write(STATED_FAULT)
    assert case.judge().undecided == 1
    (row,), (failure,) = case.rows(), case.rows(".failures")
    assert (row["verdict"], row["status"], row["raw"]) == (None, "undecided", PASSED)
    assert row["meta"]["why"] == ["evidence_against"]
    assert row["reason"].startswith("evidence_against: ")
    assert "图片_2" in row["reason"]
    assert row["meta"]["ruling"] == PASS
    assert row["meta"]["log_odds"] == pytest.approx(2.3)
    (stated,) = (item for item in row["meta"]["evidence"]["items"] if item["state"] == "stated")
    assert stated["wrong"] == ["图片_2"]
    assert failure["code"] == "evidence_against"
    assert f"evidence_against: {failure['message']}" == row["reason"]


def test_a_missing_need_holds_a_pass_back_and_no_fail(tmp_path: Path) -> None:
    case = Judged(tmp_path, GROUND)
    lines = {"图片_1": "螺丝、光纤插头/机柜处接地螺丝/显示完整/符合要求×1，电线/捆扎整齐×2"}
    case.write(lines, lines)
    case.script = lambda request: PASSED if "g0" in request.key else "不通过\n理由: 缺螺丝"
    case.judge()
    held, failed = case.rows()
    assert held["meta"]["why"] == ["evidence_missing"]
    assert "地排处接地螺丝" in held["reason"]
    assert (failed["verdict"], failed["meta"]["why"]) == (FAIL, [])
    assert failed["meta"]["evidence"] == held["meta"]["evidence"]


@pytest.mark.parametrize(
    "reason", ["图片_2的挡风板装反了，按要求此项不通过", "挡风板安装方向错误", "未见挡风板"]
)
def test_a_reason_against_its_own_verdict_holds_it_back(baffle: Judged, reason: str) -> None:
    baffle.write({"图片_1": "挡风板/中兴,显示完整,安装方向正确×1，" + WHOLE})
    baffle.script = lambda request: f"通过\n理由: {reason}"
    baffle.judge()
    assert baffle.codes() == [["contradiction"]]
    assert baffle.rows()[0]["reason"].startswith("contradiction: 结论是通过, 理由却写: ")
    baffle.judge(VerdictPolicy(evidence=False), restart=True)
    if FAIL in reason:  # what contradicts whatever the mission is
        assert baffle.codes() == [["contradiction"]]
    assert baffle.rows()[0]["meta"]["evidence"] == {"rules": "off", "items": []}


def test_all_codes_stand_in_why_in_their_order(tmp_path: Path) -> None:
    case = Judged(tmp_path, FIBRES)
    left_out: dict[str, Any] = {"left_out": [{"path": "a.zip", "kind": "ZIP"}]}
    left_out |= {"prompt_hash": "p", "checkpoint": "c", "answers": {}}
    fault = {"图片_1": "光纤/无保护措施,弯曲半径合理×1"}
    case.write(fault, meta=left_out)
    case.script = lambda request: "通过\n理由: 图片_1中光纤无保护措施，不通过"
    case.judge(VerdictPolicy(pass_above=0.99))
    ours = ["left_out", "unsure", "evidence_missing", "evidence_against", "contradiction"]
    assert case.codes() == [ours]
    (row,), (failure,) = case.rows(), case.rows(".failures")
    assert row["reason"].startswith("left_out: 通过, 但未查看: a.zip (ZIP); 通过 with p_pass 0.909")
    assert failure["code"] == "left_out"
    assert failure["message"].count("; ") >= 4


def test_no_line_no_evidence_and_every_row_names_its_rules(baffle: Judged) -> None:
    baffle.write({"图片_1": "无关图片"}, {"图片_1": WHOLE}, {})
    baffle.judge()
    assert baffle.codes() == [["evidence_missing"], [], ["stage_a_incomplete"]]
    rules = MISSIONS.get(BAFFLE).evidence
    assert rules is not None
    found = [row["meta"]["evidence"] for row in baffle.rows()]
    assert {evidence["rules"] for evidence in found} == {rules.hash}
    assert [bool(evidence["items"]) for evidence in found] == [True, True, False]


def test_evidence_decides_rows_and_an_earlier_run_is_told_how_to_go_on(baffle: Judged) -> None:
    baffle.write({"图片_1": "无关图片"})
    baffle.judge(VerdictPolicy(evidence=False))
    assert baffle.rows()[0]["verdict"] == PASS
    manifest = baffle.path("stage_b").with_suffix(".manifest.json")
    assert json.loads(manifest.read_text("utf-8"))["options"]["evidence"] == "off"
    with pytest.raises(OptionsChangedError, match=r"evidence was 'off'.*shenhe decide"):
        baffle.judge()
    # As version 0.2.0 left it, with its manifest and without.
    content = json.loads(manifest.read_text("utf-8"))
    del content["options"]["evidence"]
    manifest.write_text(json.dumps(content), "utf-8")
    row = baffle.rows()[0]
    for name in ("evidence", "ruling", "log_odds", "promise"):
        del row["meta"][name]
    baffle.path("stage_b").write_text(json.dumps(row, ensure_ascii=False) + "\n", "utf-8")
    with pytest.raises(OptionsChangedError, match="evidence was None"):
        baffle.judge()
    manifest.unlink()
    with pytest.raises(OptionsChangedError, match="evidence was None"):
        baffle.judge()
    assert baffle.judge(restart=True).undecided == 1


def _promise(threshold: float | None, *, mission: str = BAFFLE) -> Promise:
    fingerprint = Fingerprint(checkpoint="c3d4", stage_a_checkpoint="c", stage_a_prompt="p")
    content = MissionPromise(threshold=threshold, failed=60, slipped=0, fingerprint=fingerprint)
    return Promise(max_false_pass=0.05, confidence=0.95, timestamp="t", missions={mission: content})


@pytest.mark.parametrize(
    ("promise", "scores", "why"),
    [
        (_promise(2.3), {PASS: -0.1, FAIL: -2.4}, ""),
        (_promise(2.4), {PASS: -0.1, FAIL: -2.4}, "对数几率 2.3 低于承诺的 2.4"),
        (_promise(45.0), {PASS: -1e-20, FAIL: -46.0}, ""),
        (_promise(46.5), {PASS: -1e-20, FAIL: -46.0}, "对数几率 46 低于承诺的 46.5"),
        (_promise(-1.0), {PASS: math.nan, FAIL: -2.4}, "概率未知"),
        (_promise(-1.0), {}, "概率未知"),
        (_promise(None), {PASS: -0.1, FAIL: -2.4}, "没有门槛"),
        (_promise(0.0, mission=GROUND), {PASS: -0.1, FAIL: -2.4}, "承诺不包括任务"),
    ],
)
def test_a_promise_decides_in_log_odds(
    baffle: Judged, promise: Promise, scores: dict[str, float], why: str
) -> None:
    baffle.write({"图片_1": WHOLE}, {"图片_1": WHOLE})
    baffle.scores = scores
    baffle.script = lambda request: PASSED if "g0" in request.key else "不通过\n理由: 缺"
    baffle.judge(VerdictPolicy(promise=promise))
    row, failed = baffle.rows()
    assert failed["verdict"] == FAIL
    assert row["meta"]["promise"] == failed["meta"]["promise"] == promise.hash
    assert (row["verdict"], row["meta"]["why"]) == ((None, ["unsure"]) if why else (PASS, []))
    assert why in row["reason"]
    manifest = baffle.path("stage_b").with_suffix(".manifest.json").read_text("utf-8")
    assert json.loads(manifest)["options"]["promise"] == promise.hash
    with pytest.raises(OptionsChangedError, match="promise was"):
        baffle.judge()


def test_lines_of_another_checkpoint_are_not_promised(baffle: Judged) -> None:
    baffle.write({"图片_1": WHOLE}, {"图片_1": WHOLE})
    first, second = baffle.path("stage_a").read_text("utf-8").splitlines()
    second = second.replace('"checkpoint": "c"', '"checkpoint": "c9"')
    baffle.path("stage_a").write_text(f"{first}\n{second}\n", "utf-8")
    baffle.judge(VerdictPolicy(promise=_promise(0.0)))
    assert baffle.codes() == [[], ["unsure"]]
    assert "stage_a_checkpoint c9, 承诺的是 c" in baffle.rows()[1]["reason"]


def test_a_promise_and_a_threshold_are_not_for_one_run() -> None:
    with pytest.raises(UsageError, match="promise has thresholds of its own"):
        VerdictPolicy(pass_above=0.9, promise=_promise(1.0))


def test_the_winning_vote_gives_ruling_odds_and_reason(baffle: Judged) -> None:
    baffle.write({"图片_1": WHOLE}, {"图片_1": WHOLE})

    def script(request: Request) -> str:
        if "g1" in request.key:
            return (
                PASSED
                if "\x1e2" in request.key
                else "不通过\n理由: 缺"
                if "\x1e" in request.key
                else "?"
            )
        return PASSED if "\x1e" in request.key else "不通过\n理由: 按要求不通过"

    baffle.script = script
    baffle.judge(VerdictPolicy(votes=3))
    passed, split = baffle.rows()
    assert (passed["verdict"], passed["meta"]["ruling"]) == (PASS, PASS)
    assert (split["meta"]["why"], split["meta"]["ruling"]) == (["unsure"], None)


def test_a_fingerprint_of_a_run_is_that_of_its_manifests(baffle: Judged) -> None:
    baffle.write({"图片_1": WHOLE})
    baffle.judge(VerdictPolicy(votes=3, pass_above=0.5))
    known = fingerprint_of_run(baffle.out, BAFFLE)
    rules = MISSIONS.get(BAFFLE).evidence
    assert rules is not None
    assert (known.checkpoint, known.votes, known.evidence) == ("scripted", 3, rules.hash)
    assert known.stage_b == {"engine": "local", "max_new_tokens": 128, "seed": 0}
    assert (known.stage_a_checkpoint, known.stage_a_prompt, known.stage_a) == ("c", "p", {})
    for manifest in baffle.out.rglob("*.manifest.json"):
        manifest.unlink()
    without = fingerprint_of_run(baffle.out, BAFFLE)
    assert without == known.model_copy(update={"votes": 1, "stage_b": {}})
