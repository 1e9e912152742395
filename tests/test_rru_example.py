"""examples/rru: rows of another tool decided by its missions, without a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from shenhe.cli.main import exit_code
from shenhe.config import load_missions

MISSIONS = Path(__file__).parent.parent / "examples" / "rru" / "missions.toml"
INSTALL, POSITION, CABLE = "RRU安装检查", "RRU位置检查", "RRU线缆"


class Group(NamedTuple):
    """A group that a model passed: its lines, and the codes that hold it back."""

    mission: str
    why: str
    lines: list[str]
    codes: list[str]


GROUPS = [
    Group(
        INSTALL,
        "one place over two photos",
        ["站点距离/3×1，RRU设备/华为×1", "站点距离/3×1，紧固件/紧固合格×2"],
        [],
    ),
    Group(
        INSTALL,
        "two places, each with its evidence",
        [
            *("站点距离/3×1，RRU设备/华为×1，紧固件/紧固合格×2", "无关图片"),
            *("站点距离/18×1，RRU设备/华为,显示完整×1", "站点距离/18×1，紧固件/紧固合格×4"),
        ],
        [],
    ),
    Group(
        INSTALL,
        "the fastening of another place",
        ["站点距离/3×1，RRU设备/华为×1", "站点距离/5×1，RRU设备/华为×1，紧固件/紧固合格×2"],
        ["evidence_missing"],
    ),
    Group(
        INSTALL,
        "a photo that tells no place beside one that does",
        ["站点距离/3×1，RRU设备/华为×1", "紧固件/紧固合格×2"],
        ["evidence_missing"],
    ),
    Group(
        INSTALL,
        "a stated fault, on a photo without a place",
        ["站点距离/3×1，RRU设备/华为×1，紧固件/紧固合格×2", "紧固件/紧固不合格×1"],
        ["evidence_against"],
    ),
    Group(
        POSITION,
        "wire and label of one 组 over two photos",
        [
            "站点距离/3×1，RRU接地端/紧固合格×1，组1:接地线/有标签×1",
            "站点距离/3×1，组1:标签/GND-1-RRU2×1",
        ],
        [],
    ),
    Group(
        POSITION,
        "the label of another 组",
        ["站点距离/3×1，RRU接地端/紧固合格×1，组1:接地线/有标签×1，组2:标签/GND-1×1"],
        ["evidence_missing"],
    ),
    Group(
        POSITION,
        "a label that cannot be read",
        ["站点距离/3×1，RRU接地端/紧固合格×1，组1:接地线/有标签×1，组1:标签/无法识别×1"],
        ["evidence_missing"],
    ),
    Group(
        POSITION,
        "a missing label, stated",
        ["站点距离/3×1，RRU接地端/紧固合格×1，接地线/没有标签×1"],
        ["evidence_missing", "evidence_against"],
    ),
    Group(
        POSITION,
        "the label of another place",
        [
            "站点距离/3×1，RRU接地端/紧固合格×1，组1:接地线/有标签×1",
            "站点距离/4×1，RRU接地端/紧固合格×1，组1:接地线/有标签×1，组1:标签/GND-1×1",
        ],
        ["evidence_missing"],
    ),
    Group(CABLE, "sleeve and label", ["站点距离/3×1，组1:尾纤/有标签,有套管保护×1"], []),
    Group(
        CABLE,
        "sleeve, and a label beside it",
        ["站点距离/3×1，组1:尾纤/有套管保护×1，组1:标签/1-RRU-A×1"],
        [],
    ),
    Group(CABLE, "no label", ["站点距离/3×1，尾纤/有套管保护×1"], ["evidence_missing"]),
    Group(
        CABLE,
        "no sleeve, stated",
        ["站点距离/3×1，尾纤/有标签,有套管保护×1", "站点距离/3×1，尾纤/有标签,无套管保护×1"],
        ["evidence_against"],
    ),
]


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """The verdict rows by group."""
    folder = tmp_path_factory.mktemp("rru")
    for stage in ("stage_a", "stage_b"):
        (folder / stage).mkdir()
    for mission in (INSTALL, POSITION, CABLE):
        groups = [group for group in GROUPS if group.mission == mission]
        rows_a = [{"group_id": g.why, "label": "pass", "per_image": g.lines} for g in groups]
        rows_b = [
            {"group_id": g.why, "label": "pass", "raw": "通过\n理由: 符合要求"} for g in groups
        ]
        for stage, rows in (("stage_a", rows_a), ("stage_b", rows_b)):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / stage / f"{mission}.jsonl").write_text(lines, encoding="utf-8")
    out = tmp_path_factory.mktemp("decided")
    command = ["decide", str(folder), "--missions", str(MISSIONS)]
    assert exit_code([*command, "--output-dir", str(out)]) == 1
    return {
        f"{path.stem} {row['group_id']}": row
        for path in (out / "stage_b").glob("*.jsonl")
        if "failures" not in path.name
        for row in map(json.loads, path.read_text("utf-8").splitlines())
    }


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group.mission} {group.why}")
def test_evidence_is_joined_by_places_and_groups(
    decided: dict[str, dict[str, object]], group: Group
) -> None:
    row = decided[f"{group.mission} {group.why}"]
    expected = {"verdict": None, "status": "undecided"}
    if not group.codes:
        expected = {"verdict": "通过", "status": "decided"}
    assert {name: row[name] for name in expected} == expected
    meta = row["meta"]
    assert isinstance(meta, dict)
    assert meta["why"] == group.codes
    rules = load_missions(MISSIONS).get(group.mission).evidence
    assert rules is not None
    assert meta["evidence"]["rules"] == rules.hash


def test_a_place_without_evidence_is_named(decided: dict[str, dict[str, object]]) -> None:
    reason = decided[f"{INSTALL} the fastening of another place"]["reason"]
    assert "站点距离" in str(reason)
    assert "3" in str(reason)
