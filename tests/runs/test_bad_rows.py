"""Stage-A rows of other tools as the input of Stage-B: a line that is none is a failure row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shenhe.errors import RunError, UsageError
from shenhe.runs import RunOptions, find_stage_a, plan_verdicts
from shenhe.runs.fsck import check_run
from tests.runs.test_runs import MISSION, MISSIONS, Case, Make

LINES = {"图片_1": "BBU设备/华为,显示完整,无需安装×1"}
NAME = f"{MISSION.name}.jsonl"


@pytest.fixture
def case(tmp_path: Path, make_group: Make) -> Case:
    make_group("g1", "img-1.jpg")
    return Case(tmp_path)


def _write(case: Case, *lines: object, name: str = NAME) -> Path:
    path = case.out / "a" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    return path


def _row(group_id: object, **more: object) -> dict[str, object]:
    return {"group_id": group_id, "per_image": LINES} | more


def _told(case: Case) -> list[tuple[str, str, str]]:
    rows = case.rows("b", ".failures")
    return sorted((row["item"], row["group_id"], row["code"]) for row in rows)


def test_bad_lines_are_failures_and_the_others_are_judged(case: Case) -> None:
    bad = ["{", _row(None), _row("g2", per_image="a"), _row("g3", label="NG"), "[]"]
    _write(case, _row("g1"), *bad, _row(7, label="PASS"))
    counts = case.judge()
    assert (counts.done, counts.failed, counts.complete) == (2, 5, False)
    assert {row["group_id"] for row in case.rows("b")} == {"g1", "7"}
    expected = [
        (f"{NAME}:2", f"{NAME}:2", "row"),
        (f"{NAME}:3", f"{NAME}:3", "row"),
        (f"{NAME}:4", "g2", "row"),
        (f"{NAME}:5", f"{NAME}:5", "row"),
        (f"{NAME}:6", f"{NAME}:6", "row"),
    ]
    assert _told(case) == expected
    messages = {row["item"]: row["message"] for row in case.rows("b", ".failures")}
    assert messages[f"{NAME}:2"] == "line 2 is not JSON"
    assert messages[f"{NAME}:4"].startswith("line 4 is not a Stage-A row: 'per_image'")
    assert case.manifest("b")["total"] == 7
    # Again: nothing is asked, nothing is told twice.
    counts = case.judge()
    assert (counts.already, counts.failed, case.asked) == (2, 5, [])
    assert _told(case) == expected
    assert not [f for f in check_run(case.out, MISSIONS, repair=False) if "b/" in str(f.path)]


def test_a_mended_line_is_judged_and_its_failure_goes(case: Case) -> None:
    _write(case, _row("g1"), _row("g2", per_image=5), "{")
    assert case.judge().failed == 2
    _write(case, _row("g1"), _row("g2"), "{")
    counts = case.judge()
    assert (counts.already, counts.done, counts.failed) == (1, 1, 1)
    assert _told(case) == [(f"{NAME}:3", f"{NAME}:3", "row")]
    _write(case, _row("g1"), _row("g2"))
    assert case.judge().complete
    assert _told(case) == []


def test_a_limit_leaves_what_was_told(case: Case) -> None:
    _write(case, "{", _row("g1"), _row("g2"))
    assert case.judge(RunOptions(limit=1)).done == 1
    assert case.judge().failed == 1
    told = _told(case)
    _write(case, "{", _row("g1"), _row("g2"), _row("g3"))
    assert case.judge(RunOptions(limit=1)).done == 1
    assert _told(case) == told


def test_a_row_of_another_mission_is_told_line_by_line(case: Case) -> None:
    other = "BBU线缆布放要求"
    _write(case, _row("g1", mission=other), _row("g2"), _row("g3", mission=other))
    counts = case.judge()
    assert (counts.done, counts.failed) == (1, 2)
    assert [(item, group_id) for item, group_id, _ in _told(case)] == [
        (f"{NAME}:1", "g1"),
        (f"{NAME}:3", "g3"),
    ]
    message = case.rows("b", ".failures")[0]["message"]
    assert message == f"line 1 is of mission {other}, and the file is of {MISSION.name}"


def test_a_file_of_another_name_needs_the_mission_in_its_rows(case: Case) -> None:
    name = "rows.jsonl"
    path = _write(case, "{", _row("g0"), _row("g1", mission=f" {MISSION.name}"), name=name)
    assert case.judge().failed == 2
    assert [item for item, _, _ in _told(case)] == [f"{name}:1", f"{name}:2"]
    missing = "has no 'mission', and its file is not named after one"
    assert case.rows("b", ".failures")[1]["message"] == f"line 2 {missing}"
    path.write_text(json.dumps(_row("g0")) + "\n")
    with pytest.raises(RunError, match=f"rows.jsonl: line 1 {missing}"):
        find_stage_a(path, MISSIONS)
    path.write_text(json.dumps(_row("g0", mission="no mission")) + "\n")
    with pytest.raises(UsageError, match="unknown mission 'no mission'"):
        find_stage_a(path, MISSIONS)


def test_a_group_whose_other_row_is_bad_never_passes(case: Case) -> None:
    _write(case, _row("g1", per_image=5), _row("g1"), _row("g2"))
    counts = case.judge()
    assert (counts.done, counts.undecided, counts.failed) == (2, 1, 0)
    assert [(group_id, code) for _, group_id, code in _told(case)] == [("g1", "duplicate_group")]
    assert f"{NAME}:1, {NAME}:2" in case.rows("b", ".failures")[0]["message"]
    assert case.judge().already == 2
    _write(case, _row("g1", per_image=5), _row("g1", per_image=6), _row("g2"))
    counts = case.judge()
    assert (counts.already, counts.failed) == (1, 1)
    assert [(group_id, code) for _, group_id, code in _told(case)] == [("g1", "row")]


def test_one_group_in_two_spellings_of_its_label_is_one(case: Case) -> None:
    other = {"图片_1": "挡风板×1"}
    _write(case, _row(5, label="审核通过"), _row("5", label="PASS", per_image=other), _row("g"))
    counts = case.judge()
    assert (counts.done, counts.undecided) == (2, 1)
    assert [code for _, _, code in _told(case)] == ["duplicate_group"]


def test_files_without_a_row_are_told_before_a_model_is_needed(case: Case) -> None:
    path = _write(case, "{", _row("g", per_image=5))
    with pytest.raises(RunError, match=f"{NAME}: holds no row that can be judged: .*line 1 is not"):
        find_stage_a(path, MISSIONS)


def test_a_plan_leaves_bad_lines_out_and_writes_nothing(case: Case) -> None:
    path = _write(case, _row("g1"), "{")
    (source,) = find_stage_a(path, MISSIONS)
    plan = plan_verdicts(source, case.out / "b", RunOptions())
    assert (plan.groups, plan.already) == (1, 0)
    assert not (case.out / "b").exists()
    case.judge()
    plan = plan_verdicts(source, case.out / "b", RunOptions())
    assert (plan.groups, plan.already) == (0, 1)


def test_groups_that_are_gone_are_dropped_beside_bad_lines(case: Case) -> None:
    _write(case, _row("g1"), _row("g2"))
    assert case.judge().complete
    _write(case, _row("g2"), "{")
    counts = case.judge()
    assert (counts.already, counts.done, counts.failed) == (1, 0, 1)
    assert [row["group_id"] for row in case.rows("b")] == ["g2"]


def test_files_of_other_tools_are_never_touched(case: Case) -> None:
    good = [_row(1), _row("g2", label="PASS", site="S1"), _row("g3", per_image=["螺丝×1"])]
    path = case.out / "stage_a" / NAME
    path.parent.mkdir(parents=True)
    _write(case, *good).replace(path)
    assert list(check_run(case.out, MISSIONS)) == []
    path.write_bytes(path.read_bytes()[:-1])
    assert list(check_run(case.out, MISSIONS)) == []
    other = _row("g2", label="pass", per_image=["别的×1"])
    _write(case, *good, "{", other, _row("g4", label="?")).replace(path)
    before = path.read_bytes()
    faults = list(check_run(case.out, MISSIONS))
    assert {fault.line for fault in faults} == {2, 4, 6}
    assert not any(fault.mendable or fault.done for fault in faults)
    assert faults[0].what == "group g2 stands again below with other lines"
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} <= {NAME, f".{path.stem}.lock"}


@pytest.mark.parametrize("spelling", [f"{MISSION.name} ", f"\u3000{MISSION.name}"])
def test_one_group_in_two_spellings_of_its_mission_is_one(case: Case, spelling: str) -> None:
    other = {"图片_1": "BBU设备/中兴,显示完整,无需安装×1"}
    named = _row("g1", mission=MISSION.name)
    _write(case, named, _row("g1", mission=spelling, per_image=other), _row("g2"))
    counts = case.judge()
    assert (counts.done, counts.undecided) == (3, 2)
    assert [code for _, _, code in _told(case)] == ["duplicate_group"] * 2
    assert f"{NAME}:1, {NAME}:2" in case.rows("b", ".failures")[0]["message"]
    assert case.judge().already == 3
    _write(case, named, _row("g1", mission=spelling), _row("g2"))
    assert case.judge().complete
