"""A group is judged whole, or it is undecided: left-out photos, incomplete and repeated rows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shenhe.errors import RunError
from shenhe.report import write_report
from shenhe.review.index import Filters, Index
from shenhe.runs import RunOptions, find_stage_a, plan_verdicts
from shenhe.values import FAIL, PASS, photo_key
from tests.runs.test_runs import MISSION, MISSIONS, PASSED, SEEN, Case

Make = Callable[..., Path]
FAILED = f"{FAIL}\n理由: 图片_1中螺丝未拧紧"


@pytest.fixture
def case(tmp_path: Path, make_group: Make) -> Case:
    make_group("g1", "img-1.jpg", "img-2.jpg", label="审核通过")
    make_group("g2", "img-1.jpg", label="审核不通过")
    return Case(tmp_path)


def _foreign(case: Case, *rows: dict[str, Any]) -> None:
    """Write Stage-A rows as another tool might."""
    base: dict[str, Any] = {"group_id": "g", "mission": MISSION.name, "label": "pass"}
    base |= {"timestamp": "t"}
    base["meta"] = {"prompt_hash": "x", "checkpoint": "x", "answers": {}}
    path = case.out / "a" / f"{MISSION.name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(base | row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def _verdicts(case: Case) -> dict[str, dict[str, Any]]:
    return {row["group_id"]: row for row in case.rows("b")}


def test_what_was_left_out_keeps_a_group_from_passing(case: Case) -> None:
    folder = case.tree / MISSION.name / "审核通过" / "g1"
    (folder / "更多.pdf").write_bytes(b"%PDF-1.7\n")
    counts = case.summarize()
    assert (counts.done, counts.undecided, counts.complete) == (2, 1, False)
    row = next(row for row in case.rows("a") if row["group_id"] == "g1")
    assert row["meta"]["left_out"] == [{"path": "更多.pdf", "kind": "PDF"}]
    (failure,) = case.rows("a", ".failures")
    assert (failure["code"], failure["group_id"]) == ("left_out", "g1")
    assert "更多.pdf (PDF)" in failure["message"]

    assert case.judge().undecided == 1
    row = _verdicts(case)["g1"]
    assert (row["status"], row["verdict"], row["raw"]) == ("undecided", None, PASSED)
    assert row["meta"]["why"] == ["left_out"]
    assert row["reason"] == "left_out: 通过, 但未查看: 更多.pdf (PDF)"
    assert [row["code"] for row in case.rows("b", ".failures")] == ["left_out"]
    assert _verdicts(case)["g2"]["meta"]["why"] == []

    for index in (case.out / "a").glob(".*.index.sqlite"):
        index.unlink()  # it is made of the rows
    assert case.summarize().undecided == 1  # nothing is asked again, nothing is forgotten
    assert not case.asked
    assert case.judge().undecided == 1
    assert not case.asked

    (folder / "更多.pdf").unlink()  # the group is whole now
    counts = case.summarize()
    assert counts.complete
    assert counts.done_anew == {"something else beside the photos": 1}
    assert case.judge().complete
    assert [row["group_id"] for row in case.rows("b")] == ["g2", "g1"]


def test_a_fail_of_a_part_decides_no_group_either(case: Case) -> None:
    (case.tree / MISSION.name / "审核通过" / "g1" / "a.zip").write_bytes(b"PK\x03\x04")
    case.rulings = lambda request: FAILED
    case.summarize()
    assert case.judge().undecided == 1
    assert _verdicts(case)["g1"]["meta"]["why"] == ["left_out"]
    assert _verdicts(case)["g1"]["reason"].startswith("left_out: 不通过, 但未查看: a.zip")
    assert _verdicts(case)["g2"]["verdict"] == FAIL


def test_all_codes_stand_in_why_and_the_first_in_the_failure(case: Case) -> None:
    (case.tree / MISSION.name / "审核通过" / "g1" / "a.zip").write_bytes(b"PK\x03\x04")
    case.rulings = lambda request: "待定\n理由: 看不清"
    case.summarize()
    case.judge()
    rows = _verdicts(case)
    assert rows["g1"]["meta"]["why"] == ["left_out", "format"]
    assert rows["g2"]["meta"]["why"] == ["format"]
    codes = {row["group_id"]: row["code"] for row in case.rows("b", ".failures")}
    assert codes == {"g1": "left_out", "g2": "format"}


def test_a_group_of_archives_alone_names_them(case: Case, make_group: Make) -> None:
    (make_group("g3") / "照片.rar").write_bytes(b"Rar!\x1a\x07\x01\0")
    assert case.summarize().failed == 1
    assert [row["code"] for row in case.rows("a", ".failures")] == ["no_photos", "left_out"]
    case.judge()
    row = _verdicts(case)["g3"]
    assert row["meta"]["why"] == ["stage_a_incomplete", "left_out"]
    assert "照片.rar (RAR)" in row["reason"]


LINE = "BBU设备/华为,显示完整,无需安装×1"


@pytest.mark.parametrize(
    ("images", "lines"),
    [
        (3, {photo_key(0): LINE}),
        (1, {photo_key(0): LINE, photo_key(1): LINE}),
        (2, {}),
        (0, {}),
        (0, {photo_key(0): LINE}),
        (2, {photo_key(0): LINE, photo_key(1): " \n"}),
        (1, {photo_key(0): ""}),
        (2, {photo_key(0): LINE, photo_key(2): LINE}),
        (1, {"照片": LINE}),
    ],
)
def test_rows_without_one_line_a_photo_never_pass(
    case: Case, images: int, lines: dict[str, str]
) -> None:
    named = [f"/x/{number}.jpg" for number in range(images)]
    good = {"group_id": "good", "images": ["/x/1.jpg"], "per_image": {photo_key(0): LINE}}
    _foreign(case, {"images": named, "per_image": lines}, good)
    counts = case.judge()
    assert (counts.done, counts.undecided) == (2, 1)
    rows = _verdicts(case)
    assert rows["good"]["verdict"] == PASS
    assert (rows["g"]["verdict"], rows["g"]["meta"]["why"]) == (None, ["stage_a_incomplete"])
    assert [row["code"] for row in case.rows("b", ".failures")] == ["stage_a_incomplete"]
    assert len(case.asked) == 1
    assert case.judge().undecided == 1
    assert not case.asked
    # The same lines for as many photos: another verdict.
    whole = {photo_key(0): LINE}
    _foreign(case, {"images": ["/x/1.jpg"], "per_image": whole}, good)
    assert case.judge().complete


def test_equal_rows_are_counted_once(case: Case) -> None:
    row = {"images": ["/x/1.jpg"], "per_image": {photo_key(0): LINE}}
    _foreign(case, row, row | {"timestamp": "later"}, row | {"group_id": "other"})
    counts = case.judge()
    assert (counts.done, counts.undecided) == (2, 0)
    assert len(case.asked) == 2
    (source,) = find_stage_a(case.out / "a", MISSIONS)
    plan = plan_verdicts(source, case.out / "b", RunOptions())
    assert (plan.groups, plan.already) == (0, 2)


def test_the_last_row_counts_also_where_its_line_has_no_end(case: Case) -> None:
    rows = [
        {"group_id": f"g{number}", "images": ["/x/1.jpg"], "per_image": {photo_key(0): LINE}}
        for number in range(3)
    ]
    _foreign(case, *rows)
    path = case.out / "a" / f"{MISSION.name}.jsonl"
    path.write_bytes(path.read_bytes()[:-1])  # as "\n".join writes rows
    assert case.judge().done == 3
    assert set(_verdicts(case)) == {"g0", "g1", "g2"}
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])
    assert case.judge().already == 2
    assert not case.asked
    assert set(_verdicts(case)) == {"g1", "g2"}
    path.write_bytes(path.read_bytes()[:-1])  # and this is torn
    case.judge()
    assert set(_verdicts(case)) == {"g1"}


def test_other_rows_of_one_group_are_undecided(case: Case) -> None:
    row = {"images": ["/x/1.jpg"], "per_image": {photo_key(0): LINE}}
    contradicting = row | {"per_image": {photo_key(0): SEEN.replace("华为", "中兴")}}
    third = row | {"group_id": "other"}
    _foreign(case, row, third, contradicting, row)
    counts = case.judge()
    assert (counts.done, counts.undecided) == (2, 1)
    assert len(case.asked) == 1
    verdict = _verdicts(case)["g"]
    assert verdict["meta"]["why"] == ["duplicate_group"]
    (failure,) = case.rows("b", ".failures")
    assert failure["code"] == "duplicate_group"
    for line in (1, 3, 4):
        assert f"{MISSION.name}.jsonl:{line}" in failure["message"]
    assert case.judge().undecided == 1
    assert not case.asked
    _foreign(case, row, third)
    assert case.judge().complete
    assert len(case.asked) == 1
    assert sorted(_verdicts(case)) == ["g", "other"]
    assert len(case.rows("b")) == 2


def test_names_that_are_not_utf8_cost_their_group(case: Case, make_group: Make) -> None:
    label = os.fsencode(case.tree / MISSION.name / "审核通过")
    folder = os.path.join(label, "QC-2测试".encode("gbk"))
    os.mkdir(folder)
    (case.tree / MISSION.name / "审核通过" / "g1" / "img-1.jpg").rename(
        os.fsdecode(folder) + "/1.jpg"
    )
    counts = case.summarize()
    assert (counts.done, counts.failed) == (2, 1)
    (failure,) = case.rows("a", ".failures")
    assert (failure["code"], failure["group_id"]) == ("bad_name", "QC-2\\xb2\\xe2\\xca\\xd4")
    assert "QC-2测试" in failure["message"]
    case.judge()
    assert _verdicts(case)["QC-2\\xb2\\xe2\\xca\\xd4"]["meta"]["why"] == ["stage_a_incomplete"]
    run = case.out
    (run / "a").rename(run / "stage_a")
    (run / "b").rename(run / "stage_b")
    assert "QC-2\\xb2\\xe2\\xca\\xd4" in write_report(run).read_text(encoding="utf-8")
    index = Index(run)
    (entry,) = index.page(Filters(verdict="undecided"))
    group = index.group(entry.number)
    assert group is not None
    assert group.entry.group_id == "QC-2\\xb2\\xe2\\xca\\xd4"
    os.rename(folder, os.path.join(label, b"QC-2"))  # the old failure goes with the name
    (run / "stage_a").rename(run / "a")
    (run / "stage_b").rename(run / "b")
    assert case.summarize().complete
    assert case.rows("a", ".failures") == []
    assert case.judge().complete
    assert "QC-2" in _verdicts(case)


def test_a_data_root_that_is_not_utf8(case: Case, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xd5\xd5\xc6\xac"))
    case.tree.rename(folder)
    case.tree = folder
    assert case.summarize().complete
    assert all(image.startswith("file://") for row in case.rows("a") for image in row["images"])
    assert "%D5%D5%C6%AC" in case.manifest("a")["options"]["data_root"]
    assert case.summarize().already == 2


def test_rows_that_end_in_the_middle_of_one_are_told(case: Case) -> None:
    case.summarize()
    path = case.out / "a" / f"{MISSION.name}.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    counts = case.judge()
    assert (counts.done, counts.complete) == (1, False)
    (fault,) = counts.faults
    assert fault.startswith(f"{path}: ends in the middle of a row: ")
    case.summarize()
    counts = case.judge()
    assert (counts.already, counts.done, counts.complete) == (1, 1, True)


@pytest.mark.parametrize("content", [bytes(300), b'{"group_id": "g", "mis'])
def test_rows_of_which_none_is_whole_are_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"rows.jsonl: holds no whole row, and {len(content)} bytes"):
        find_stage_a(path, MISSIONS)


@pytest.mark.parametrize("label", ["maybe", 1, {}])
def test_a_row_that_has_no_key_is_told_with_its_file(label: object, case: Case) -> None:
    _foreign(case, {"images": ["a"], "per_image": {"图片_1": "x×1"}, "label": label})
    problem = f"{MISSION.name}.jsonl: line 1 is not a Stage-A row: 'label'"
    with pytest.raises(RunError, match=problem):
        case.judge()
