"""What lines allow: groups sorted by hand, limits in words, reasons of people, the command."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shenhe.cli.main import main
from shenhe.config import load_missions
from shenhe.errors import OptionError, RunError
from shenhe.evaluation import (
    EvidenceTally,
    describe_limit,
    describe_survey,
    survey_evidence,
    write_evidence_page,
)
from shenhe.evaluation.evidence import EvidenceGroup, Kind
from shenhe.evaluation.fail_reasons import LATER, REVIEW_FIELD, FailReasons
from shenhe.row_types import Failure
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions
from shenhe.rows.keys import failures_file
from shenhe.values import group_key

GROUNDING, BAFFLE = "BBU接地线检查", "挡风板安装检查"
BOTH = (
    "螺丝、光纤插头/机柜处接地螺丝,符合要求×1，标签/A-1×1",
    "螺丝、光纤插头/地排处接地螺丝,符合要求×2",
)
FAULT = (*BOTH, "电线/分布散乱×1")
ONE_END = ("螺丝、光纤插头/机柜处接地螺丝/符合要求×1", "无关图片")
IN_DOUBT = (BOTH[0], "螺丝、光纤插头/地排处接地螺丝,符合要求/需复核,备注:螺丝看不清×1")
META = {"schema": 1, "prompt_hash": "p", "checkpoint": "c", "inputs_hash": None, "answers": {}}
Row = dict[str, Any]


def _row(
    group_id: str, label: str | None, lines: tuple[str, ...], mission: str = GROUNDING, **extra: Any
) -> Row:
    photos = [f"/photos/{group_id}/{number}.jpg" for number in range(len(lines))]
    row: Row = {"group_id": group_id, "mission": mission, "label": label, "images": photos}
    row["per_image"] = {f"图片_{number}": line for number, line in enumerate(lines, 1)}
    row |= {"timestamp": "t", "meta": META}
    return row | {"extra": extra} if extra else row


def _verdict(row: Row, ruling: str, /, *, decided: bool = True, **meta: Any) -> Row:
    kept = {key: row[key] for key in ("group_id", "mission", "label")}
    kept |= {"verdict": ruling if decided else None, "reason": "r", "p_pass": 0.9}
    kept |= {"status": "decided" if decided else "undecided", "raw": f"{ruling}\n理由: r"}
    return kept | {"timestamp": "t", "meta": META | meta}


def _write(folder: Path, stage: str, rows: list[Row]) -> None:
    (folder / stage).mkdir(parents=True, exist_ok=True)
    for mission in {row["mission"] for row in rows}:
        text = "".join(json.dumps(r) + "\n" for r in rows if r["mission"] == mission)
        (folder / stage / f"{mission}.jsonl").write_text(text, encoding="utf-8")


SOME = [
    _row("stated", "fail", FAULT, 不通过原因="线 散乱"),
    _row("one end", "fail", ONE_END, 不通过原因="缺地排"),
    _row("in doubt", "fail", IN_DOUBT, 不通过原因=""),
    _row("nothing to see", "fail", BOTH, 不通过原因=" 线径不一致 "),
    _row("nothing either", "fail", (*BOTH, "标签/B-2×1"), 不通过原因="线径不一致"),
    _row("other sight", "fail", (*BOTH, "光纤/有保护措施,弯曲半径合理/铠装×1"), 不通过原因="重拍"),
    _row("no line", "fail", ("", BOTH[1]), 不通过原因="重拍"),
    _row("right", "pass", tuple(reversed(BOTH))),
    _row("held in vain", "pass", ONE_END),
    _row("nobody knows", None, ONE_END),
    _row("baffle", "fail", ("BBU设备/华为,显示完整/无需安装×1",), BAFFLE),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    _write(tmp_path, "stage_a", SOME)
    verdicts = [
        _verdict(row, "不通过" if row["group_id"] in ("stated", "baffle") else "通过")
        for row in SOME
    ]
    verdicts[1] = _verdict(SOME[1], "通过", decided=False, ruling="通过", why=["evidence_missing"])
    _write(tmp_path, "stage_b", verdicts)
    return tmp_path


def test_groups_by_hand(run: Path) -> None:
    listed: list[EvidenceGroup] = []
    survey = survey_evidence(run, load_missions(), record=listed.append)
    tally = survey.missions[GROUNDING]
    assert tally.failed == {"fault": 1, "missing": 1, "doubtful": 1, "complete": 3, "unread": 1}
    assert tally.passed == {"complete": 1, "missing": 1}
    # One that an earlier rule held back is a false pass of the model all the same.
    assert tally.false_passes == {"missing": 1, "doubtful": 1, "complete": 3, "unread": 1}
    assert tally.right_passes == {"complete": 1, "missing": 1}
    limit, stopped = tally.lowest_false_pass, tally.stopped
    assert (limit.count, limit.total) == (3, 6)  # a group without lines is left to people
    assert (stopped.count, stopped.total) == (2, 5)
    assert (tally.cost.count, tally.cost.total) == (1, 2)
    assert tally.like_passed == 2  # the third shows a fibre, which no passed group does
    assert survey.missions[BAFFLE].failed == {"complete": 1}
    assert survey.total.failed.total() == 8
    assert [(g.group_id, g.kind, g.reason) for g in listed if g.mission == GROUNDING] == [
        ("stated", "fault", "线 散乱"),
        ("one end", "missing", "缺地排"),
        ("in doubt", "doubtful", ""),
        ("nothing to see", "complete", "线径不一致"),
        ("nothing either", "complete", "线径不一致"),
        ("other sight", "complete", "重拍"),
        ("no line", "unread", ""),
        ("held in vain", "missing", ""),
    ]
    by_id = {group.group_id: group for group in listed}
    assert [(item.kind, item.state) for item in by_id["stated"].items] == [("fault", "stated")]
    assert by_id["one end"].model_passed
    assert not by_id["stated"].model_passed


def test_reasons_stand_side_by_side(run: Path) -> None:
    reasons = survey_evidence(run, load_missions()).reasons
    assert reasons.to_json() == {
        "field": "不通过原因",
        "unobservable_groups": 4,
        "other_groups": 3,
        "top": [
            {"reason": "线径不一致", "unobservable": 2, "observable": 0},
            {"reason": "重拍", "unobservable": 1, "observable": 0},
            {"reason": "线 散乱", "unobservable": 0, "observable": 1},
            {"reason": "缺地排", "unobservable": 0, "observable": 1},
        ],
    }
    with pytest.raises(OptionError, match=r"no failed group has it; .*: 不通过原因"):
        survey_evidence(run, load_missions(), reason_field="why")


@pytest.mark.parametrize(
    ("extra", "wanted", "field", "reason"),
    [
        ({"site": "S1", "Fail-Reason": "ｘ 　y"}, None, "Fail-Reason", "x y"),
        ({"备注": "补拍", "不合格原因": "标签"}, None, "不合格原因", "标签"),
        ({"备注": "补拍", "不合格原因": "标签"}, "备注", "备注", "补拍"),
        ({"Remark": ["一", "", "二"]}, None, "Remark", "一；二"),
        ({"gt_fail_reason_text": "线径"}, None, "gt_fail_reason_text", "线径"),
        ({"reason": {"code": 3}, "comment": None, "remark": 7}, None, "", ""),
        ({"My Field": "长" * 300}, "my_field", "My Field", "长" * 200),
    ],
)
def test_the_field_of_reasons(
    extra: Mapping[str, object], wanted: str | None, field: str, reason: str
) -> None:
    reasons = FailReasons(wanted)
    assert reasons.add(extra, unobservable=False) == reason
    assert reasons.field == field
    assert [each.reason for each in reasons.top()] == [each for each in reason.split("；") if each]


def test_reasons_without_end_take_no_memory_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shenhe.evaluation.fail_reasons.MAX_DISTINCT", 3)
    reasons = FailReasons()
    for number in range(9):
        reasons.add({"原因": f"{number}"}, unobservable=True)
    assert next((each.reason, each.unobservable) for each in reasons.top()) == (LATER, 6)


def test_a_group_counts_once(tmp_path: Path) -> None:
    equal, other = _row("twice", "fail", BOTH), _row("torn", "fail", BOTH)
    _write(tmp_path, "stage_a", [equal, equal, other, _row("torn", "fail", ONE_END)])
    survey = survey_evidence(tmp_path, load_missions())
    assert survey.missions[GROUNDING].failed == {"complete": 1, "unread": 1}
    assert not survey.has_verdicts
    assert "没有结论" in describe_survey(survey)[-1].zh


def test_groups_that_have_no_row_are_counted(tmp_path: Path) -> None:
    _write(tmp_path, "stage_a", [_row("read", "fail", BOTH)])
    failures = failures_file(tmp_path / "stage_a" / f"{GROUNDING}.jsonl")
    rows = [
        Failure(
            item=f"{number}.jpg",
            group_id=group_id,
            mission=GROUNDING,
            label="fail",
            code="unreadable",
            message="m",
            timestamp="t",
        )
        for number, group_id in enumerate(("gone", "gone", "read"))
    ]
    failures.write_text("".join(row.to_json() + "\n" for row in rows), encoding="utf-8")
    survey = survey_evidence(tmp_path, load_missions())
    assert survey.missions[GROUNDING].failed == {"complete": 1, "unread": 1}


def test_what_people_decided_in_review(run: Path) -> None:
    decisions = Decisions(run)
    said = {
        "nothing to see": ("通过", ""),
        "held in vain": ("不通过", "缺少地排"),
        "right": ("待定", ""),
    }
    for row in SOME:
        choice, fault = said.get(row["group_id"], ("", ""))
        if not choice:
            continue
        decisions.add(
            Decision(
                key=group_key(row["mission"], row["label"], row["group_id"]),
                group_id=row["group_id"],
                mission=row["mission"],
                label=row["label"],
                verdict="通过",
                version=1,
                opinion=Opinion.model_validate({"choice": choice, "fault": fault}),
                reviewer="李工",
                at="2026-11-20T09:00:00.000000Z",
            )
        )
    survey = survey_evidence(run, load_missions(), "decisions")
    assert survey.missions.keys() == {GROUNDING}
    assert survey.missions[GROUNDING].failed == {"missing": 1}
    assert survey.missions[GROUNDING].passed == {"complete": 1}
    assert [each.reason for each in survey.reasons.top()] == ["缺少地排"]


def test_each_reason_of_a_group_is_counted() -> None:
    reasons = FailReasons()
    said = [["未拧紧", "生锈", ""], ["生锈", "右下角", "生锈"], ["未拧紧", ["其他"]]]
    added = [
        reasons.add({REVIEW_FIELD: each}, unobservable=number == 0)
        for number, each in enumerate(said)
    ]
    assert added == ["未拧紧；生锈", "生锈；右下角；生锈", "未拧紧；其他"]
    assert {(each.reason, each.unobservable, each.observable) for each in reasons.top()} == {
        ("未拧紧", 1, 1),
        ("生锈", 1, 1),  # twice of one group is once
        ("右下角", 0, 1),
        ("其他", 0, 1),
    }


@pytest.mark.parametrize(
    ("failed", "zh", "en"),
    [
        (
            {"missing": 103, "complete": 189},
            "292 组中，189 组（65%，95% 区间 59–70%）的摘要看不出问题",
            "cannot have fewer false passes than 65%, unless",
        ),
        ({"fault": 990, "complete": 10}, "10 组（1.0%，95% 区间 0.5–1.8%）", "than 1.0%"),
        (
            {"fault": 59, "unread": 4},
            "59 组，摘要全都看得出问题（95% 区间：看不出的至多",
            "6.1%",
        ),
        ({"unread": 4}, "没有人工判不合格的组", "nothing can be said"),
        ({}, "没有人工判不合格的组", "nothing can be said"),
        ({"complete": 2}, "误放行率不可能低于 100%", "than 100%"),
    ],
)
def test_the_limit_in_words(failed: dict[Kind, int], zh: str, en: str) -> None:
    words = describe_limit("M", EvidenceTally(failed=Counter(failed), like_passed=0))
    assert zh in words.zh
    assert en in words.en


def test_missions_without_rules_are_told(run: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'schema = 1\n[[mission]]\nname = "挡风板安装检查"\nfocus = "f"\nrule = "r"\n',
        encoding="utf-8",
    )
    survey = survey_evidence(run, load_missions(own))
    assert survey.without_rules == {BAFFLE: 1}
    assert f"{BAFFLE}：没有证据规则，1 组未计入" in describe_survey(survey)[-1].zh
    (run / "stage_a" / f"{GROUNDING}.jsonl").unlink()
    with pytest.raises(RunError, match=r"no evidence rules for 挡风板安装检查; .*--missions"):
        survey_evidence(run, load_missions(own))


def test_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no rows there"):
        survey_evidence(tmp_path, load_missions())
    _write(tmp_path, "stage_a", [_row("QC-1", None, BOTH)])
    with pytest.raises(RunError, match="labelled none"):
        survey_evidence(tmp_path, load_missions())


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, page, listed = run / "figures.json", run / "page.html", run / "groups.jsonl"
    command = ["evaluate", "evidence", str(run), "--list", str(listed)]
    with pytest.raises(SystemExit) as left:
        main([*command, "--json", str(figures), "--html", str(page)])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for words in ("3 = 50.0% (18.8-81.2)", "2 = 40.0% (11.8-76.9)", "误放行率不可能低于 50%"):
        assert words in shown
    assert "cannot have fewer false passes than 50%" in shown
    told = json.loads(figures.read_text(encoding="utf-8"))
    assert told["missions"][GROUNDING]["lowest_false_pass"]["count"] == 3
    assert told["all"]["failed"]["complete"] == 4
    assert told["sentences"][0]["en"].startswith(f"{GROUNDING}: of 6 groups")
    assert "误放行率不可能低于 50%" in page.read_text(encoding="utf-8")
    rows = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 9
    with pytest.raises(SystemExit) as refused:
        main(["evaluate", "evidence", str(run), "--reason", "x", "--list", str(run / "y")])
    assert refused.value.code == 2
    assert "--reason x: no failed group has it" in capsys.readouterr().err
    assert not list(run.glob("y*"))


def test_a_page_of_hostile_names(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    own = tmp_path / "own.toml"
    own.write_text(
        f'schema = 1\n[[mission]]\nname = "{hostile}"\nfocus = "f"\nrule = "r"\n'
        '[mission.evidence]\nneeds = ["标签"]\n',
        encoding="utf-8",
    )
    row = _row("a", "fail", ("标签/A×1",), hostile, 原因="<img src=x onerror=alert(2)>")
    folder = tmp_path / "run" / "stage_a"
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    survey = survey_evidence(tmp_path / "run", load_missions(own))
    page = tmp_path / "page.html"
    write_evidence_page(page, "<b>run", "labels", survey)
    text = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert not any(tag in text for tag in ("<script", "<img", "<b>run"))


def test_rows_of_another_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines in two spellings and as JSON, no mission, no photos, labels as folders have them."""
    right = [
        {
            "image_1": "螺丝/机柜处接地螺丝、符合要求",
            "image_2": "螺丝、光纤插头/地排处接地螺丝/符合要求×1",
        },
        {"image_1": "BBU设备/需复核,备注:无法判断品牌×1", "image_2": BOTH[0], "image_3": BOTH[1]},
    ]
    fitted = {"类别": "螺丝、光纤插头", "类型": {"机柜处接地螺丝": 1}, "符合性": {"符合要求": 1}}
    lacking = {"image_1": "<DOMAIN=BBU>, <TASK=SUMMARY>\n" + json.dumps({"统计": [fitted]})}
    foreign: list[Row] = [
        {"group_id": 7, "label": "审核不通过", "per_image": right[0], "site": "S1", "备注": "重拍"},
        {"group_id": "8", "label": "FAIL", "per_image": right[1], "备注": "重拍"},
        {"group_id": "9", "label": "fail", "per_image": lacking, "备注": "缺地排"},
        {"group_id": "10", "label": "审核通过", "per_image": right[0]},
        {"group_id": "11", "per_image": right[0]},
    ]
    verdicts = [
        {"group_id": 7, "label": "fail", "raw": "通过\n理由: 符合要求"},
        {"group_id": "9", "label": "审核不通过", "verdict": "通过"},
        {"group_id": "10", "label": "pass", "raw": "也许通过"},
    ]
    for stage, rows in (("stage_a", foreign), ("stage_b", verdicts)):
        path = tmp_path / stage / f"{GROUNDING}.jsonl"
        path.parent.mkdir()
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_text(text + "{torn\n" * (stage == "stage_a"), encoding="utf-8")
    with pytest.raises(SystemExit) as left, pytest.warns(UserWarning, match="line 6"):
        main(["evaluate", "evidence", str(tmp_path), "--json", str(tmp_path / "f.json")])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    assert "备注" in shown
    assert "the cost" not in shown  # nobody knows of a right pass here
    figures = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))["all"]
    assert (figures["failed"]["complete"], figures["failed"]["missing"]) == (2, 1)
    assert (figures["false_passes"]["complete"], figures["false_passes"]["missing"]) == (1, 1)
    assert figures["right_passes"]["complete"] == 0  # a verdict that nobody can read is none
    assert figures["like_passed"] == 1
