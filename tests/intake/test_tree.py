"""The photo tree -> groups."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from shenhe.config import load_missions
from shenhe.errors import IntakeError
from shenhe.intake import PhotoTree, natural_key

MISSIONS = load_missions()
MISSION = MISSIONS.get("挡风板安装检查")
INSTALL = MISSIONS.get("BBU安装方式检查（正装）")
Make = Callable[..., Path]


def test_natural_order() -> None:
    names = ["img-10.jpg", "img-2.jpg", "IMG-1.jpg", "img-02.jpg", "图10", "图9", "a", "1"]
    ordered = ["1", "a", "IMG-1.jpg", "img-02.jpg", "img-2.jpg", "img-10.jpg", "图9", "图10"]
    assert sorted(names, key=natural_key) == ordered


def test_labels_and_order(make_group: Make, tmp_path: Path) -> None:
    make_group("g10", "img-10.jpg", "img-2.jpg", label="审核通过")
    make_group("g9", "a.jpg", label="审核通过")
    make_group("g1", "a.jpg", label="审核不通过")
    make_group("g1", "b.jpg", label="审核通过")
    make_group("free", "a.jpg")
    groups = list(PhotoTree(tmp_path / "tree").groups(MISSION))
    assert [(group.group_id, group.label) for group in groups] == [
        ("g1", "pass"),
        ("g9", "pass"),
        ("g10", "pass"),
        ("g1", "fail"),
        ("free", None),
    ]
    assert len({group.key for group in groups}) == 5
    assert [photo.name for photo in groups[2].photos] == ["img-2.jpg", "img-10.jpg"]
    assert all(str(photo).startswith("/") for group in groups for photo in group.photos)


def test_brackets_of_both_widths(make_group: Make, tmp_path: Path) -> None:
    make_group("g", "a.jpg", mission="BBU安装方式检查(正装)", label="审核通过")
    tree = PhotoTree(tmp_path / "tree")
    assert tree.missions(MISSIONS) == [INSTALL]
    assert [group.mission for group in tree.groups(INSTALL)] == ["BBU安装方式检查（正装）"]


def test_two_folders_of_one_mission_are_refused(make_group: Make, tmp_path: Path) -> None:
    make_group("g", "a.jpg", mission="BBU安装方式检查(正装)")
    make_group("g", "a.jpg", mission="BBU安装方式检查（正装）")
    make_group("g", "a.jpg")
    tree = PhotoTree(tmp_path / "tree")
    with pytest.raises(IntakeError, match="same mission"):
        list(tree.groups(INSTALL))
    assert len(list(tree.groups(MISSION))) == 1


def test_files_that_are_no_photos_are_counted(make_group: Make, tmp_path: Path) -> None:
    folder = make_group("g", "a.JPG", "b.HeIc", ".hidden.jpg")
    (folder / "notes.txt").write_text("x")
    (folder / "sub").mkdir()
    (folder / "sub.jpg").mkdir()
    (folder.parent / "stray.jpg").write_bytes(b"x")
    passed_over: Counter[str] = Counter()
    (group,) = PhotoTree(tmp_path / "tree").groups(MISSION, passed_over)
    assert [photo.name for photo in group.photos] == ["a.JPG", "b.HeIc"]
    assert passed_over == {"hidden": 1, "not_a_photo": 1, "folder_in_group": 2, "stray_file": 1}


def test_links_in_a_circle(make_group: Make, tmp_path: Path) -> None:
    folder = make_group("g", "a.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "up").symlink_to("..")
    (folder.parent / "again").symlink_to(folder.parent)
    groups = list(PhotoTree(tmp_path / "tree").groups(MISSION))
    assert [group.group_id for group in groups] == ["again", "g"]
    assert [photo.name for photo in groups[1].photos] == ["a.jpg", "loop.jpg"]


def test_missing_folders_are_named(make_group: Make, tmp_path: Path) -> None:
    with pytest.raises(IntakeError, match="no such folder"):
        PhotoTree(tmp_path / "nowhere")
    make_group("g", "a.jpg")
    tree = PhotoTree(tmp_path / "tree")
    with pytest.raises(IntakeError, match="folders found: 挡风板安装检查"):
        list(tree.groups(INSTALL))


def test_count_needs_no_photos(make_group: Make, tmp_path: Path) -> None:
    for number in range(3):
        make_group(f"g{number}", "a.jpg", label="审核通过")
    assert PhotoTree(tmp_path / "tree").count_groups(MISSION) == 3


def test_a_group_that_cannot_be_listed_fails_alone(make_group: Make, tmp_path: Path) -> None:
    make_group("g1", "a.jpg")
    gone = make_group("g2", "a.jpg")
    make_group("g3", "a.jpg")
    groups = PhotoTree(tmp_path / "tree").groups(MISSION)
    assert next(groups).photos
    shutil.rmtree(gone)
    second, third = groups
    assert "cannot be listed" in second.problem
    assert third.photos
