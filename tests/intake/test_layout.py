"""Trees in a layout of their own: names of label folders, ids in names of photos."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shenhe.config import LabelFolders, load_label_folders, load_missions
from shenhe.errors import ConfigError, IntakeError, OptionError
from shenhe.intake import GroupPattern, PhotoTree, TreeLayout
from tests.conftest import MISSION as NAME

MISSIONS = load_missions()
MISSION = MISSIONS.get(NAME)
PATTERN = r"(?P<group>QC-\d{8}-\d{7})"
Make = Callable[..., Path]


def _aliases(tmp_path: Path, text: str) -> LabelFolders:
    file = tmp_path / "labels.toml"
    file.write_text(text, encoding="utf-8")
    return load_label_folders(file)


def _tree(tmp_path: Path, layout: TreeLayout) -> PhotoTree:
    return PhotoTree(tmp_path / "tree", layout)


def _groups(tree: PhotoTree) -> tuple[list[tuple[str, str | None, int]], list[str]]:
    faults: list[str] = []
    groups = tree.groups(MISSION, faults=faults)
    return [(group.group_id, group.label, len(group.photos)) for group in groups], faults


@pytest.mark.parametrize("text", ["pass = ['未通过']", "fail = ['合格']", "pass = ['不合格 ']"])
def test_a_name_that_says_the_contrary_of_its_label(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        TreeLayout(_aliases(tmp_path, text))


def test_label_folders_by_other_names(make_group: Make, tmp_path: Path) -> None:
    for label in ("OK", "合格", "审核通过", "Ｎｇ", "待审", "通过"):
        make_group(f"QC-{label}", "1.jpg", label=label)
    make_group("QC-free", "1.jpg")
    folders = _aliases(tmp_path, 'pass = ["ok", "合格"]\nfail = ["NG"]\nunlabelled = ["待审"]')
    tree = _tree(tmp_path, TreeLayout(folders))
    groups, faults = _groups(tree)
    assert [(group_id, label) for group_id, label, _ in groups] == [
        ("QC-OK", "pass"),
        ("QC-合格", "pass"),
        ("QC-审核通过", "pass"),
        ("QC-Ｎｇ", "fail"),
        ("QC-待审", None),
        ("QC-free", None),
    ]
    assert tree.count_groups(MISSION) == 6
    assert tree.has_group(MISSION, "fail", "QC-Ｎｇ")
    assert not tree.has_group(MISSION, None, "QC-OK")
    (fault,) = faults  # 通过 is in no file: the hint names the way to read it
    assert "rename it to 审核通过, or name it in a --label-folders FILE" in fault
    assert tree.layout.decisive_options == {
        "label_folders": {"ng": "fail", "ok": "pass", "合格": "pass", "待审": None}
    }


def test_two_spellings_of_one_name_are_refused(make_group: Make, tmp_path: Path) -> None:
    make_group("QC-1", "1.jpg", label="OK")
    make_group("QC-2", "1.jpg", label="ok")
    tree = _tree(tmp_path, TreeLayout(_aliases(tmp_path, 'pass = ["ok"]')))
    with pytest.raises(IntakeError, match="OK and ok are the same label: merge them"):
        _groups(tree)


def test_a_group_in_two_folders_of_a_label_fails_alone(make_group: Make, tmp_path: Path) -> None:
    make_group("QC-1", "1.jpg", label="ok")
    make_group("QC-1", "2.jpg", label="审核通过")
    make_group("QC-1", "3.jpg", label="审核不通过")
    make_group("QC-2", "1.jpg", label="审核通过")
    tree = _tree(tmp_path, TreeLayout(_aliases(tmp_path, 'pass = ["ok"]')))
    first, second, third = tree.groups(MISSION)
    assert first.code == "split_group"
    assert "ok/QC-1 and in " in first.problem
    assert [(group.group_id, group.label) for group in (second, third)] == [
        ("QC-2", "pass"),
        ("QC-1", "fail"),
    ]
    assert tree.count_groups(MISSION) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('pass = ["审核不通过"]', "stands for fail and pass"),
        ('pass = ["ok"]\nfail = ["OK"]', "stands for pass and fail"),
        ('unlabelled = ["审核通过 "]', "stands for pass and unlabelled"),
        ('pass = [""]', "is no folder's name"),
        ('pass = ["a/b"]', "is no folder's name"),
        ('pass = [".hidden"]', "is no folder's name"),
        ('passed = ["ok"]', "passed"),
        ("pass = 3", "pass"),
        ("schema = 2", "schema"),
        ("pass = [", "not valid TOML"),
    ],
)
def test_files_of_names_that_cannot_be(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as refused:
        _aliases(tmp_path, text)
    assert "labels.toml" in str(refused.value)
    assert "\n" not in str(refused.value)


def _loose(make_group: Make, label: str, *names: str) -> Path:
    """Put photos directly into a label folder."""
    folder = make_group("QC-tmp", *names, label=label)
    for photo in folder.iterdir():
        photo.rename(folder.parent / photo.name)
    folder.rmdir()
    return folder.parent


def test_ids_in_names_of_photos(make_group: Make, tmp_path: Path) -> None:
    names = [f"QC-20230222-0000297_{number}.jpg" for number in (10, 2, 1)]
    folder = _loose(
        make_group, "审核不通过", *names, "x QC-20230222-0000298.jpg", "总览.jpg", ".QC.jpg"
    )
    (folder / "QC-20230222-0000298_2.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 40)
    (folder / "QC-20230222-0000298.txt").write_text("x")
    make_group("QC-with-folder", "1.jpg", label="审核不通过")
    tree = _tree(tmp_path, TreeLayout(group_pattern=GroupPattern(PATTERN)))
    groups, faults = _groups(tree)
    assert groups == [
        ("QC-20230222-0000297", "fail", 3),
        ("QC-20230222-0000298", "fail", 1),
        ("QC-with-folder", "fail", 1),
    ]
    first, second, _ = tree.groups(MISSION)
    assert [photo.name[20:] for photo in first.photos] == ["1.jpg", "2.jpg", "10.jpg"]
    assert all(photo.is_file() for photo in map(Path, map(str, first.photos)))
    assert [(file.path, file.kind) for file in second.left_out] == [
        ("QC-20230222-0000298_2.mp4", "MP4")
    ]
    (fault,) = faults
    assert "left out: 1 whose names --group-pattern does not match: 总览.jpg" in fault
    assert tree.has_group(MISSION, "fail", "QC-20230222-0000297")
    assert not tree.has_group(MISSION, "pass", "QC-20230222-0000297")
    assert not tree.has_group(MISSION, "fail", "QC-20230222-0000299")
    assert tree.count_groups(MISSION) == 3


def test_loose_photos_change_their_group_alone(make_group: Make, tmp_path: Path) -> None:
    folder = _loose(
        make_group, "审核通过", "QC-20230222-0000001_1.jpg", "QC-20230222-0000002_1.jpg"
    )
    layout = TreeLayout(group_pattern=GroupPattern(PATTERN))

    def fingerprints() -> list[str]:
        return [group.inputs for group in _tree(tmp_path, layout).groups(MISSION)]

    before = fingerprints()
    shutil.copy(folder / "QC-20230222-0000002_1.jpg", folder / "QC-20230222-0000002_2.jpg")
    after = fingerprints()
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_group_in_a_folder_and_beside_it_is_not_whole(make_group: Make, tmp_path: Path) -> None:
    _loose(make_group, "", "QC-20230222-0000297_1.jpg")
    make_group("QC-20230222-0000297", "2.jpg")
    tree = _tree(tmp_path, TreeLayout(group_pattern=GroupPattern(PATTERN)))
    (group,) = tree.groups(MISSION)
    assert (group.code, group.label) == ("split_group", None)
    assert f"{NAME}/QC-20230222-0000297 and in " in group.problem
    assert tree.count_groups(MISSION) == 1


def test_without_a_pattern_the_option_is_named(make_group: Make, tmp_path: Path) -> None:
    _loose(make_group, "审核通过", "QC-20230222-0000297_1.jpg")
    groups, (fault,) = _groups(_tree(tmp_path, TreeLayout()))
    assert groups == []
    assert "or let --group-pattern find the groups in their names" in fault


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        (r"QC-\d+", "needs a group of the name group"),
        ("(", "no regular expression"),
        (r"(?P<group>(a+)+)$", "inside of a repetition"),
        (r"(?P<group>(\w|\d)*)_", "inside of a repetition"),
        (r"(?P<group>(?:a?){30}a{30})", "inside of a repetition"),
        (r"(?P<group>.*.*.*.*)_", "so many repetitions"),
        (r"(?P<group>\d*\d*\d*)_", "so many repetitions"),
        (r"(?P<group>a)_(?P=group)", "back-references"),
        (r"(?x)(?P<group> ( a + ) + )", "back-references"),
    ],
)
def test_patterns_that_are_refused(pattern: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem) as refused:
        GroupPattern(pattern)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("pattern", "name", "group"),
    [
        (PATTERN, "x QC-20230222-0000297 (2).JPG", "QC-20230222-0000297"),
        (r"^(?P<group>[A-Z]+(-\d+){2})_\d+\.(jpg|png)$", "QC-1-2_03.jpg", "QC-1-2"),
        (r"^(?P<group>[^_]+)_", "工单甲_1.jpg", "工单甲"),
        (r"^(?P<group>.*)_(\d+)\.", "a_b_1.jpg", "a_b"),
        (r"^(?P<group>\d*)_", "_1.jpg", ""),
        (r"^(?P<group>.+?)\d", "..1.jpg", ""),
        (PATTERN, "QC-20230222-0000297" + "x" * 300, ""),
        (r"(?:a|(?P<group>b))", "a.jpg", ""),
    ],
)
def test_ids_that_a_pattern_finds(pattern: str, name: str, group: str) -> None:
    assert GroupPattern(pattern).group_of(name) == group
