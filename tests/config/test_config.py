"""Missions and prompts as data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shenhe.config import load_missions, load_prompts, load_vocabulary
from shenhe.errors import ConfigError, UsageError

FIFTH = """
schema = 1
[[mission]]
name = "BBU标签检查"
focus = "标签"
rule = "标签可以识别"
"""


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_four_missions() -> None:
    names = [mission.name for mission in load_missions()]
    assert names == [
        "BBU安装方式检查（正装）",
        "BBU接地线检查",
        "BBU线缆布放要求",
        "挡风板安装检查",
    ]


def test_a_fifth_mission_by_a_file_alone(tmp_path: Path) -> None:
    missions = load_missions(_write(tmp_path / "m.toml", FIFTH))
    assert missions.get("BBU标签检查").focus == "标签"
    assert len(missions.all) == 5


def test_an_own_mission_replaces_one_of_its_name(tmp_path: Path) -> None:
    own = FIFTH.replace("BBU标签检查", "BBU安装方式检查(正装)")
    missions = load_missions(_write(tmp_path / "m.toml", own))
    assert len(missions.all) == 4
    assert missions.get("BBU安装方式检查（正装）").focus == "标签"


def test_unknown_mission_lists_the_known() -> None:
    with pytest.raises(UsageError, match="挡风板安装检查") as caught:
        load_missions().get("挡风扇")
    assert "--missions" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema = 2\n", "schema"),
        ("nonsense", "not valid TOML"),
        (FIFTH.replace("focus", "fokus"), "fokus|focus"),
        (FIFTH + FIFTH.replace("schema = 1", ""), "twice"),
        (FIFTH.replace('"标签"', '""'), "focus"),
    ],
)
def test_a_wrong_missions_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_missions(_write(tmp_path / "m.toml", text))
    assert "m.toml" in str(caught.value)


def test_a_missing_file() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_missions(Path("absent.toml"))


def test_focus_and_rule_stand_in_the_prompts() -> None:
    prompts = load_prompts()
    for mission in load_missions():
        assert mission.focus in prompts.summary.fill(mission)
        question = prompts.verdict.fill(mission, "图片_1: a")
        assert all(part in question for part in (mission.name, mission.focus, mission.rule))


def test_what_is_filled_in_is_not_filled_again() -> None:
    mission = load_missions().get("挡风板安装检查")
    text = load_prompts().verdict.fill(mission, "图片_1: {rule} {lines}")
    assert "图片_1: {rule} {lines}" in text


def test_own_prompts_and_their_hash(tmp_path: Path) -> None:
    mission = load_missions().get("挡风板安装检查")
    built_in = load_prompts()
    own = load_prompts(
        _write(tmp_path / "p.toml", 'schema = 1\n[summary]\nuser = "{mission}: {focus}?"\n')
    )
    assert own.verdict == built_in.verdict
    assert own.summary.fill(mission) == f"挡风板安装检查: {mission.focus}?"
    assert own.summary.hash(mission) != built_in.summary.hash(mission)
    assert built_in.summary.hash(mission) == load_prompts().summary.hash(mission)
    hashes = {built_in.summary.hash(mission) for mission in load_missions()}
    assert len(hashes) == 4


def test_a_prompt_without_its_lines_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "p.toml", 'schema = 1\n[verdict]\nuser = "{mission}"\n')
    with pytest.raises(ConfigError, match=r"verdict.user lacks \{lines\}"):
        load_prompts(path)


def test_the_vocabulary_takes_the_descs_of_the_domain() -> None:
    patterns = load_vocabulary().patterns
    for desc in (
        "BBU设备/华为/显示完整/无需安装",
        "BBU设备/华为,显示完整/机柜空间充足需要安装/未按要求配备挡风板",
        "螺丝、光纤插头/BBU安装螺丝/显示完整/不符合要求/未拧紧",
        "标签/5G-A1",
        "光纤/有保护措施/蛇形管,铠装/弯曲半径合理",
        "电线/捆扎整齐/备注:看不清",
        "挡风板/安装方向正确",
    ):
        assert any(re.fullmatch(pattern, desc) for pattern in patterns), desc
    for desc in ("BBU设备/其他", "螺丝钉", "电线/乱"):
        assert not any(re.fullmatch(pattern, desc) for pattern in patterns), desc
