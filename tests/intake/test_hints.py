"""Trees in an unexpected layout: reported, with what was probably meant."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.config import load_missions
from shenhe.errors import IntakeError
from shenhe.intake import PhotoTree
from shenhe.intake.spelling import closest_name, escape_name, guess_label, unescape_name
from tests.conftest import MISSION as NAME

MISSIONS = load_missions()
MISSION = MISSIONS.get(NAME)
Make = Callable[..., Path]


def _faults(root: Path) -> tuple[list[str], list[tuple[str, str | None]]]:
    faults: list[str] = []
    groups = PhotoTree(root).groups(MISSION, faults=faults)
    return faults, [(group.group_id, group.label) for group in groups]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        *((name, "审核通过") for name in ("通过", "合格", "pass", "PASS", "OK", "審核通過")),
        *((name, "审核通过") for name in ("已审核通过", "审核 通过", "ＰＡＳＳ", "审核通过\u200b")),
        *((name, "审核通过") for name in ("审核通过（1）", "审核通过-副本", "审核已通过")),
        *(
            (name, "审核不通过")
            for name in ("不通过", "不合格", "审核未通过", "fail", "NG", "驳回")
        ),
        *((name, "审核不通过") for name in ("Not Pass", "未通过", "審核不通過", "rejected")),
        *((name, "") for name in ("QC-1", "待审核", "通过性测试站", "passage", "好", "")),
    ],
)
def test_synonyms_of_labels(name: str, label: str) -> None:
    assert guess_label(name) == label


@pytest.mark.parametrize("name", ["通过", "PASS", "审核未通过"])
def test_a_label_folder_in_another_spelling(make_group: Make, tmp_path: Path, name: str) -> None:
    for group in ("QC-1", "QC-2"):
        make_group(group, "1.jpg", label=name)
    make_group("QC-3", "1.jpg", label="审核通过")
    faults, groups = _faults(tmp_path / "tree")
    (fault,) = faults
    assert f"{name}: a label folder in another spelling? Its 2 folders" in fault
    assert "rename it to 审核" in fault
    assert groups == [("QC-3", "pass")]
    assert PhotoTree(tmp_path / "tree").count_groups(MISSION) == 1


def test_white_space_round_a_label(make_group: Make, tmp_path: Path) -> None:
    make_group("QC-1", "1.jpg", label="审核不通过 ")
    faults, groups = _faults(tmp_path / "tree")
    assert groups == [("QC-1", "fail")]
    assert "'审核不通过 ' is taken for 审核不通过" in faults[0]


def test_photos_and_archives_where_groups_lie(make_group: Make, tmp_path: Path) -> None:
    label = make_group("QC-1", "1.jpg", label="审核通过").parent
    for number in range(5):
        shutil.copy(label / "QC-1" / "1.jpg", label / f"{number}.jpg")
    (label.parent / "QC-9.zip").write_bytes(b"PK\x03\x04")
    (label / "notes.txt").write_text("x")
    faults, groups = _faults(tmp_path / "tree")
    assert len(faults) == 2
    assert "and 2 more in no group's folder" in faults[0]
    assert "QC-9.zip in no group's folder" in faults[1]
    assert groups == [("QC-1", "pass")]


def test_a_label_in_a_label_and_a_group_called_like_one(make_group: Make, tmp_path: Path) -> None:
    make_group("审核通过/QC-1", "1.jpg", label="审核通过")
    make_group("pass", "1.jpg", label="审核通过")
    make_group("OK-1", "1.jpg")
    faults, groups = _faults(tmp_path / "tree")
    assert "a label folder in a label folder?" in faults[0]
    assert groups == [("pass", "pass"), ("OK-1", None)]


@pytest.mark.parametrize(
    ("below", "hint"),
    [
        (NAME, "is a mission's own folder: use --data-root"),
        (f"{NAME}/审核通过", "is a mission's own folder: use --data-root"),
        (f"{NAME}/审核通过/QC-1", "is a mission's own folder: use --data-root"),
    ],
)
def test_another_folder_as_data_root(
    make_group: Make, tmp_path: Path, below: str, hint: str
) -> None:
    make_group("QC-1", "1.jpg", label="审核通过")
    root = tmp_path / "tree"
    tree = PhotoTree(root / below)
    for error in (tree.no_mission_error(MISSIONS), _refusal(tree)):
        assert hint in str(error)
        assert str(error).count(f"--data-root {root}") >= 1
    above = PhotoTree(tmp_path)
    assert f"use --data-root {root}" in str(above.no_mission_error(MISSIONS))


def test_a_mission_by_another_name_that_holds_labels(make_group: Make, tmp_path: Path) -> None:
    make_group("QC-1", "1.jpg", label="审核通过", mission="2023")
    tree = PhotoTree(tmp_path / "tree" / "2023")
    assert "name it after its mission" in str(tree.no_mission_error(MISSIONS))


@pytest.mark.parametrize(
    "name", ["擋風板安裝檢查", "挡风板安装检查（新）", "挡风板 安装检查", "挡风板安装"]
)
def test_a_mission_in_another_spelling(make_group: Make, tmp_path: Path, name: str) -> None:
    make_group("QC-1", "1.jpg", mission=name)
    tree = PhotoTree(tmp_path / "tree")
    assert NAME in tree.misspelled_folders(MISSIONS)[name]
    assert f"{name!r} is probably meant" in str(_refusal(tree))
    assert not PhotoTree(make_group("x", mission="别的检查").parent.parent).missions(MISSIONS)
    assert not closest_name("别的检查", [NAME])


def test_white_space_behind_a_mission(make_group: Make, tmp_path: Path) -> None:
    make_group("QC-1", "1.jpg", mission=f"{NAME} ")
    faults, groups = _faults(tmp_path / "tree")
    assert groups == [("QC-1", None)]
    assert f"'{NAME} ' is taken for {NAME}" in faults[0]


def test_groups_that_look_alike_stay_apart(make_group: Make, tmp_path: Path) -> None:
    names = ["caf\u00e9", "cafe\u0301", "qc-1", "QC-1", "QC-1 "]
    for name in names:
        make_group(name, "1.jpg")
    _, groups = _faults(tmp_path / "tree")
    assert {group for group, _ in groups} == set(names)


def test_two_label_folders_stop_their_mission_alone(make_group: Make, tmp_path: Path) -> None:
    make_group("QC-1", "1.jpg", label="审核通过")
    make_group("QC-1", "1.jpg", label="审核通过 ")
    with pytest.raises(IntakeError, match="same label"):
        _faults(tmp_path / "tree")


def test_escaped_names_are_reversible_and_distinct() -> None:
    names = ["QC-2\udcb2\udce2", "QC-2\\xb2\\xe2", "a\\b", "a\\\\b", "\udcff\\", "QC-1", "图"]
    assert escape_name(names[0]) == "QC-2\\xb2\\xe2"
    assert escape_name("a\\b") == "a\\b"
    assert [unescape_name(escape_name(name)) for name in names] == names
    assert len({escape_name(name) for name in names}) == len(names)


@given(st.binary(max_size=12).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_escaped_name_is_reversible(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    assert unescape_name(escape_name(text)) == text
    escape_name(text).encode("utf-8")


def _refusal(tree: PhotoTree) -> IntakeError:
    with pytest.raises(IntakeError) as caught:
        list(tree.groups(MISSION))
    return caught.value
