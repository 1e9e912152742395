"""Lists of groups: what people type, what review exports, what other tools write."""

from __future__ import annotations

from pathlib import Path

import pytest

from shenhe.errors import RunError
from shenhe.rows.group_names import GroupNames, read_group_names
from shenhe.values import Label, group_key
from tests.conftest import MISSION

OTHER = "BBU接地线检查"
WIDE, NARROW = "BBU安装方式检查（正装）", "BBU安装方式检查(正装)"


def _read(tmp_path: Path, text: str | bytes, name: str = "list.txt") -> GroupNames:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_group_names([path])


def _matches(names: GroupNames, group_id: str, mission: str = MISSION) -> list[Label | None]:
    labels: tuple[Label | None, ...] = ("pass", "fail", None)
    return [label for label in labels if names.match_key(group_key(mission, label, group_id))]


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ("QC-1", ["pass", "fail", None]),
        ("  QC-1\t", ["pass", "fail", None]),
        ("QC-1::fail", ["fail"]),
        ("QC-1::FAIL", ["fail"]),
        ("QC-1::审核不通过", ["fail"]),
        ("QC-1::不通过", ["fail"]),
        ("QC-1::审核通过", ["pass"]),
        ("QC-1::", [None]),
        (f"{MISSION}::QC-1", ["pass", "fail", None]),
        (f"{MISSION}::QC-1::pass", ["pass"]),
        (f"{MISSION}::QC-1::", [None]),
        (f"{OTHER}::QC-1::pass", []),
        ("QC-1::maybe", []),
        ("QC-11", []),
        ("QC", []),
    ],
)
def test_names_of_groups(tmp_path: Path, line: str, labels: list[Label | None]) -> None:
    assert _matches(_read(tmp_path, f"# noisy groups\n\n{line}\n"), "QC-1") == labels


def test_ids_that_hold_the_separator() -> None:
    names = GroupNames(["站::甲", "站::乙::fail"])
    assert _matches(names, "站::甲") == ["pass", "fail", None]
    assert _matches(names, "站::乙") == ["fail"]


def test_missions_in_both_widths() -> None:
    assert _matches(GroupNames([f"{NARROW}::QC-1"]), "QC-1", WIDE) == ["pass", "fail", None]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "QC-1::fail\r\nQC-2::fail\r\n"),
        ("a.txt", "\ufeffQC-1::fail\nQC-2::fail"),
        (
            "a.jsonl",
            '{"group_id": "QC-1", "label": "fail"}\n{"group_id": "QC-2", "label": "审核不通过"}',
        ),
        ("a.jsonl", '{"key": "QC-1::fail", "group_id": "x"}\n\n{"key": "QC-2::fail"}\n'),
        ("a.jsonl", '{"group_id": "QC-1::fail", "n": 1}\n{"group_id": "QC-2::fail"}\n'),
        ("a.csv", "group_id,label\nQC-1,fail\nQC-2,审核不通过\n"),
        ("a.csv", "\ufeffkey,mission\n\nQC-1::fail,\nQC-2::fail,\n"),
        ("a.csv", 'reason,group_id,label\n"a\nb",QC-1,fail\n x , QC-2 ,Fail\n'),
        ("a.csv", "Group_ID\nQC-1::fail\nQC-2::fail\n"),
    ],
)
def test_forms_of_lists(tmp_path: Path, name: str, text: str) -> None:
    names = _read(tmp_path, text, name)
    assert _matches(names, "QC-1") == _matches(names, "QC-2") == ["fail"]
    assert len(names) == 2
    assert names.unmatched == []


def test_a_table_of_chinese_windows(tmp_path: Path) -> None:
    text = f"group_id,label,mission\nQC-1,审核不通过,{MISSION}\n'=QC-2,,{OTHER}\n"
    names = _read(tmp_path, text.encode("gbk"))
    assert _matches(names, "QC-1") == ["fail"]
    assert _matches(names, "=QC-2", OTHER) == ["pass", "fail", None]
    assert _matches(names, "=QC-2") == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no group"),
        ("# nothing\n\n", "names no group"),
        ("group_id,label\n", "names no group"),
        ('{"group_id": "QC-1"}\n{"id": 1}\n', "line 2: a row lacks 'group_id'"),
        ('{"group_id": "QC-1"}\n{"gro\n', "line 2 is not JSON"),
        ("group_id,label\nQC-1,maybe\n", "line 2: 'label' of a row is 'maybe'"),
        ("group_id,label\n,fail\n", "line 2: a row lacks 'group_id'"),
        (b"\x89PNG\0\0", "no text in UTF-8"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(RunError, match=problem) as refused:
        _read(tmp_path, text)
    assert "list.txt" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_empty_list_beside_another_is_told(tmp_path: Path) -> None:
    first, twin, empty = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt"))
    first.write_text("QC-1\n", encoding="utf-8")
    twin.write_text("QC-1\n", encoding="utf-8")
    empty.write_text("# later\n", encoding="utf-8")
    assert len(read_group_names([first, twin])) == 1
    for paths in ([first, empty], [empty, first]):
        with pytest.raises(RunError, match=r"c\.txt: names no group"):
            read_group_names(paths)


def test_names_that_match_nothing_are_told() -> None:
    names = GroupNames([f"QC-{n}" for n in range(9)])
    names.add("QC-1::fail", OTHER)
    assert names.match(MISSION, "pass", "QC-0")
    assert names.describe_unmatched([OTHER]) == "QC-1, QC-2, QC-3, QC-4, QC-5 and 3 more"
    assert names.describe_unmatched().endswith("and 4 more")
    assert GroupNames(["QC-1"]).hash == GroupNames(["QC-1", " QC-1 "]).hash
    assert GroupNames(["QC-1", "QC-2"]).hash == GroupNames(["QC-2", "QC-1"]).hash
    assert GroupNames(["QC-1"]).hash != GroupNames(["QC-2"]).hash


@pytest.mark.parametrize(
    ("name", "group_id", "label", "matches"),
    [
        ("1017.0", "1017", None, True),
        ("1017.0", "1017.0", None, True),  # a folder may have such a name
        ("1017.00::fail", "1017", "fail", True),
        ("1017.0::fail", "1017", "pass", False),
        ("挡风板安装检查::1017.0", "1017", "pass", True),
        ("1017.5", "1017", None, False),
        ("01017.0", "1017", None, False),
        ("1017", "1017.0", None, False),
    ],
)
def test_a_table_writes_numbers_with_a_fraction(
    name: str, group_id: str, label: Label | None, matches: bool
) -> None:
    names = GroupNames([name])
    assert names.match("挡风板安装检查", label, group_id) == matches
    assert bool(names.unmatched) != matches
