"""Groups whose photos or label have changed since they were done are done anew, and told."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from shenhe.intake import PhotoTree
from shenhe.rows.readers import read_verdicts
from shenhe.runs import RunOptions, plan_summaries
from shenhe.runs.fsck import check_run
from tests.runs.test_runs import MISSION, MISSIONS, Case

Make = Callable[..., Path]
LATER = 2_000_000_000


@pytest.fixture
def case(tmp_path: Path, make_group: Make) -> Case:
    make_group("g1", "img-1.jpg", "img-2.jpg", label="审核通过")
    make_group("g2", "img-1.jpg", label="审核不通过")
    case = Case(tmp_path)
    case.summarize()
    case.judge()
    return case


def _folder(case: Case, group: str = "g1", label: str = "审核通过") -> Path:
    return case.tree / MISSION.name / label / group


def _photo(path: Path, colour: int) -> None:
    Image.new("RGB", (64, 48), (colour, 90, 120)).save(path, "JPEG")


def _add(folder: Path) -> None:
    _photo(folder / "img-3.jpg", 200)


def _remove(folder: Path) -> None:
    (folder / "img-2.jpg").unlink()


def _replace(folder: Path) -> None:
    _photo(folder / "img-2.jpg", 250)


def _mend(folder: Path) -> None:
    """Change a byte, as a copy that was read anew from a bad disk: size and name stay."""
    content = bytearray((folder / "img-2.jpg").read_bytes())
    content[-3] ^= 1
    (folder / "img-2.jpg").write_bytes(content)


def _rename(folder: Path) -> None:
    (folder / "img-2.jpg").rename(folder / "img-9.jpg")


def _leave_out(folder: Path) -> None:
    (folder / "deeper").mkdir()
    _photo(folder / "deeper" / "1.jpg", 10)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_add, "photos added"),
        (_remove, "photos removed"),
        (_replace, "photos replaced"),
        (_mend, "photos replaced"),
        (_rename, "photos added and removed"),
        (_leave_out, "something else beside the photos"),
    ],
)
def test_a_group_that_has_changed_is_done_anew(
    case: Case, change: Callable[[Path], None], why: str
) -> None:
    change(_folder(case))
    plan = plan_summaries(PhotoTree(case.tree), MISSION, case.out / "a", RunOptions())
    assert (plan.groups, plan.already) == (1, 1)
    counts = case.summarize()
    assert counts.done_anew == {why: 1}
    assert (counts.already, counts.done) == (1, 1)
    assert {request.key.split("\x1f")[2] for request in case.asked} == {"g1"}
    assert sorted(row["group_id"] for row in case.rows("a")) == ["g1", "g2"]
    assert not case.summarize().done_anew
    assert not case.asked
    case.judge()
    assert sorted(row["group_id"] for row in case.rows("b")) == ["g1", "g2"]


def test_photos_that_are_only_touched_stay_done(case: Case) -> None:
    for path in case.tree.rglob("*.jpg"):
        os.utime(path, (LATER, LATER))
    assert not case.summarize().done_anew
    assert not case.asked
    # The new times are known now, and photos are not read again: not even a byte that differs is
    # seen, where its file has the size and the time that it had.
    _mend(_folder(case))
    os.utime(_folder(case) / "img-2.jpg", (LATER, LATER))
    assert not case.summarize().done_anew
    os.utime(_folder(case) / "img-2.jpg", (LATER + 1, LATER + 1))
    assert case.summarize().done_anew == {"photos replaced": 1}


def test_a_copy_of_the_tree_in_its_place_stays_done(case: Case, tmp_path: Path) -> None:
    shutil.copytree(case.tree, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(case.tree)
    (tmp_path / "copy").rename(case.tree)
    assert not case.summarize().done_anew
    assert not case.asked


def test_a_group_that_was_moved_is_done_under_its_new_label(case: Case) -> None:
    _folder(case).rename(_folder(case, label="审核不通过"))
    counts = case.summarize()
    assert counts.done_anew == {"moved to another label": 1}
    assert {(row["group_id"], row["label"]) for row in case.rows("a")} == {
        ("g1", "fail"),
        ("g2", "fail"),
    }
    assert len(case.rows("a")) == 2
    case.judge()
    assert sorted((row["group_id"], row["label"]) for row in case.rows("b")) == [
        ("g1", "fail"),
        ("g2", "fail"),
    ]


def test_a_group_whose_folder_is_gone_is_kept_and_told(case: Case, make_group: Make) -> None:
    shutil.rmtree(_folder(case))
    counts = case.summarize()
    assert counts.kept_as_is == {"whose folder is gone": 1}
    assert not counts.done_anew
    assert len(case.rows("a")) == 2


def test_other_groups_of_one_id_stay_apart_when_one_goes(case: Case, make_group: Make) -> None:
    _photo(make_group("g1", label="审核不通过") / "other.jpg", 7)
    case.summarize()
    shutil.rmtree(_folder(case))
    counts = case.summarize()
    assert counts.kept_as_is == {"whose folder is gone": 1}
    assert len(case.rows("a")) == 3


def _as_of_an_older_version(case: Case) -> None:
    """Take from the rows what earlier versions did not write."""
    path = case.out / "a" / f"{MISSION.name}.jsonl"
    rows = case.rows("a")
    for row in rows:
        row["meta"] = {
            name: value
            for name, value in row["meta"].items()
            if name not in ("left_out", "why", "inputs_hash")
        }
    text = "".join(
        json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows
    )
    path.write_text(text, encoding="utf-8")
    for index in path.parent.glob(".*.index.sqlite"):
        index.unlink()


def test_rows_of_an_older_version_are_kept_and_told_once(case: Case) -> None:
    _as_of_an_older_version(case)
    counts = case.summarize()
    assert list(counts.kept_as_is.values()) == [2]
    assert not case.asked
    assert case.judge().complete
    assert not case.asked
    assert not case.summarize().kept_as_is
    _replace(_folder(case))  # from now on what lies there is known
    assert case.summarize().done_anew == {"photos replaced": 1}


@pytest.mark.parametrize(
    ("change", "why", "undecided"),
    [
        (_add, "photos added", 0),
        (_remove, "photos removed", 0),
        (_rename, "photos added and removed", 0),
        (_leave_out, "something else beside the photos", 1),
    ],
)
def test_a_group_of_an_older_version_that_has_changed_is_done_anew(
    case: Case, change: Callable[[Path], None], why: str, undecided: int
) -> None:
    _as_of_an_older_version(case)
    change(_folder(case))
    plan = plan_summaries(PhotoTree(case.tree), MISSION, case.out / "a", RunOptions())
    assert (plan.groups, plan.already) == (1, 1)
    counts = case.summarize()
    assert (counts.done_anew, counts.done) == ({why: 1}, 1)
    assert case.judge().undecided == undecided
    assert not case.summarize().done_anew


def test_a_photo_whose_name_cannot_be_written_changes_its_group(case: Case) -> None:
    folder = os.fsencode(_folder(case))
    os.rename(os.path.join(folder, b"img-2.jpg"), os.path.join(folder, b"\xb2\xe2.jpg"))
    counts = case.summarize()
    assert counts.done_anew == {"a name that is not UTF-8": 1}
    assert counts.failed == 1
    assert [row["code"] for row in case.rows("a", ".failures")] == ["bad_name"]
    assert case.judge().undecided == 1


def test_failures_of_what_is_no_longer_there_go(case: Case, make_group: Make) -> None:
    empty = make_group("g9")
    assert case.summarize().failed == 1
    case.judge()
    assert len(case.rows("b")) == 3
    shutil.rmtree(empty)
    assert case.summarize().complete
    assert case.rows("a", ".failures") == []
    assert case.judge().complete
    assert len(case.rows("b")) == 2


def test_a_pipe_that_is_called_like_a_photo_is_not_waited_for(case: Case, make_group: Make) -> None:
    os.mkfifo(make_group("g9") / "1.jpg")
    case.summarize()
    assert sorted(row["group_id"] for row in case.rows("a")) == ["g1", "g2", "g9"]


def test_a_folder_that_cannot_be_read_now_keeps_its_row(case: Case) -> None:
    if not os.geteuid():
        pytest.skip("root reads everything")
    _folder(case).chmod(0)
    try:
        assert case.summarize().kept_as_is == {"whose folder cannot be read now": 1}
    finally:
        _folder(case).chmod(0o755)
    assert len(case.rows("a")) == 2


def test_moved_left_out_halted_and_in_several_files_every_group_is_judged_once(
    case: Case, make_group: Make
) -> None:
    _leave_out(_folder(case))
    _folder(case).rename(_folder(case, label="审核不通过"))
    for number in range(5):
        _photo(make_group(f"n{number}", label="审核通过") / "1.jpg", number)
    halted, whole = RunOptions(limit=2, shard_bytes=600), RunOptions(shard_bytes=600)
    assert case.summarize(halted).done_anew == {"moved to another label": 1}
    case.judge(halted)
    case.summarize(whole)
    case.judge(whole)
    verdicts = sorted(
        (row.group_id, row.label, row.verdict, row.meta.why)
        for row in read_verdicts(case.out / "b" / f"{MISSION.name}.jsonl")
    )
    assert verdicts == [
        ("g1", "fail", None, ["left_out"]),
        ("g2", "fail", "通过", []),
        *((f"n{number}", "pass", "通过", []) for number in range(5)),
    ]
    assert case.summarize(whole).already == 7
    assert case.judge(whole).already == 7
    assert not list(check_run(case.out, MISSIONS))
