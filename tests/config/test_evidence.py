"""Evidence rules as data: what a missions file may say, and how it is told that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from shenhe.config import EvidenceRules, load_missions
from shenhe.config.evidence import Fault, Need, read_pattern
from shenhe.errors import ConfigError

MISSION = """
schema = 1
[[mission]]
name = "BBU标签检查"
focus = "标签"
rule = "标签可以识别"
[mission.evidence]
"""


def _load(folder: Path, rules: str) -> EvidenceRules:
    path = folder / "own.toml"
    path.write_text(MISSION + rules, encoding="utf-8")
    rules_of_mission = load_missions(path).get("BBU标签检查").evidence
    assert rules_of_mission is not None
    return rules_of_mission


def test_the_four_missions_have_rules_of_their_own() -> None:
    rules = [mission.evidence for mission in load_missions()]
    assert all(own is not None and own.needs and own.faults and own.ignore for own in rules)
    assert len({own.hash for own in rules if own is not None}) == 4


def test_a_mission_may_have_none(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(MISSION.replace("[mission.evidence]", ""), encoding="utf-8")
    assert load_missions(path).get("BBU标签检查").evidence is None


def test_patterns_and_tables_are_read(tmp_path: Path) -> None:
    rules = _load(
        tmp_path,
        'needs = ["标签/可以识别", {name = "铭牌", item = ["标签", "BBU设备"], when = "BBU设备"}]\n'
        'faults = [{item = "标签/无法识别", unless = "标签/可以识别", words = ["字迹不清"]}]\n'
        'joined_by = ["站点距离", "组"]\nignore = ["品牌"]\n',
    )
    assert [need.title for need in rules.needs] == ["标签 可以识别", "铭牌"]
    assert rules.needs[1] == Need(name="铭牌", item=("标签", "BBU设备"), when=("BBU设备",))
    assert rules.faults == (
        Fault(item=("标签/无法识别",), unless=("标签/可以识别",), words=("字迹不清",)),
    )
    assert rules.joined_by == ("站点距离", "组")


def test_equal_rules_have_one_hash_and_others_another(tmp_path: Path) -> None:
    pattern = _load(tmp_path, 'needs = ["标签/可以识别"]\n')
    table = _load(tmp_path, 'needs = [{item = ["标签/可以识别"]}]\n')
    assert (pattern.hash, hash(pattern)) == (table.hash, hash(table))
    assert pattern == table
    others = [
        _load(tmp_path, rules)
        for rules in (
            "",
            'needs = ["标签/无法识别"]\n',
            'faults = ["标签/可以识别"]\n',
            'needs = ["标签/可以识别"]\nignore = ["品牌"]\n',
            'needs = ["标签/可以识别"]\njoined_by = ["组"]\n',
            'needs = [{item = "标签/可以识别", doubt = "褪色"}]\n',
        )
    ]
    assert len({pattern.hash, *(rules.hash for rules in others)}) == 7


def test_a_changed_copy_has_a_hash_of_its_own(tmp_path: Path) -> None:
    rules = _load(tmp_path, 'needs = ["标签/可以识别"]\n')
    assert rules.hash
    changed = rules.model_copy(update={"ignore": ("品牌",)})
    assert changed.hash == EvidenceRules.model_validate(changed.model_dump()).hash != rules.hash


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ('needs = [""]', "needs.0.item"),
        ('needs = ["标签", "标签//可以识别"]', "needs.1.item"),
        ('needs = ["标签/"]', "needs.0.item"),
        ('needs = ["标签|/可以识别"]', "needs.0.item"),
        ('needs = ["标签 + "]', "needs.0.item"),
        ("needs = [{item = []}]", "needs.0.item"),
        ('needs = [{name = "标签"}]', "needs.0.item"),
        ('needs = [{item = "标签", wenn = "BBU设备"}]', "needs.0.wenn"),
        ('needs = [{item = "标签", when = "BBU设备/"}]', "needs.0.when"),
        ("needs = [3]", "needs.0"),
        ('needs = "标签"', "needs"),
        ('faults = [{item = "标签", unless = "/"}]', "faults.0.unless"),
        ('faults = ["|"]', "faults.0.item"),
        ('joined_by = ["楼层"]', "joined_by.0"),
        ("ignore = [1]", "ignore.0"),
        ('need = ["标签"]', "need"),
    ],
)
def test_a_bad_pattern_names_file_mission_and_key(tmp_path: Path, rules: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, rules + "\n")
    message = str(caught.value)
    assert "own.toml" in message
    assert "BBU标签检查" in message
    assert f": {key}" in message


def test_a_pattern_takes_every_spelling_of_its_category() -> None:
    spellings = ("螺丝、光纤插头/BBU安装螺丝", "螺丝/BBU安装螺丝", "螺丝，光纤插头／bbu安装螺丝 ")
    assert len({read_pattern(spelling).parts for spelling in spellings}) == 1
