"""However a line is spelled, it is evidence of the same; and what no line may do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from recipes.demo_checkpoint.groups import KINDS_OF, MadeGroup, make_group
from shenhe.config import EvidenceRules, load_missions
from shenhe.stages.evidence import check, codes, describe
from shenhe.values import EvidenceItem, photo_key

MISSIONS = load_missions()
GROUPS = [make_group(name, f"spelling/{seed}", True) for name in KINDS_OF for seed in range(30)]
FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})


def _last_comma(line: str) -> str:
    return re.sub(r"/(不?符合要求)", r",\1", line)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "commas within a level": lambda line: re.sub(r"(?<=[^头备])/(?=[^，]*/)", ",", line),
    "a comma before the finding": _last_comma,
    "、 before the finding": lambda line: re.sub(r"/(不?符合要求)", r"、\1", line),
    "full-width": lambda line: line.translate(FULL_WIDTH),
    "blanks": lambda line: " ".join(line),
    "no counts": lambda line: re.sub(r"×\d+", "", line),
    "counts by x": lambda line: re.sub(r"×(\d+)", r" x \1", line),
    "two signs": lambda line: line.replace("×", "××"),
    "huge counts": lambda line: re.sub(r"×\d+", "×10000", line),
    "half-width commas between items": lambda line: re.sub(r"(×\d+)，", r"\1,", line),
    "semicolons": lambda line: line.replace("，", "；"),
    "螺丝 alone": lambda line: line.replace("螺丝、光纤插头", "螺丝"),
    "two levels": lambda line: line.replace("螺丝、光纤插头", "螺丝/光纤插头"),
    "the long form": lambda line: re.sub(
        r"/(未?按要求配备)挡风板",
        lambda form: f"/这个BBU设备{form[1]}{'' if '未' in form[1] else '了'}挡风板",
        line,
    ),
    "需复核备注": lambda line: line.replace("备注: ", "需复核备注:"),
    "the bend's detail": lambda line: line.replace(
        "弯曲半径不合理", "弯曲半径不合理（弯曲半径<4cm或者成环）"
    ),
    "covers": lambda line: line.replace("光纤/", "光纤/有遮挡/").replace("电线/", "电线/无遮挡/"),
    "keyed by the photo": lambda line: f'{{"图片_1": "{line}"}}',
    "twice": lambda line: f"{line}，{line}",
}


def _rules(mission: str) -> EvidenceRules:
    rules = MISSIONS.get(mission).evidence
    assert rules is not None
    return rules


def _check(group: MadeGroup, spell: Callable[[str], str] = str) -> tuple[EvidenceItem, ...]:
    lines = {photo_key(index): spell(line) for index, line in enumerate(group.lines)}
    return check(lines, _rules(group.mission))


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_spelling_changes_nothing(spelling: str) -> None:
    changed = 0
    for group in GROUPS:
        changed += any(SPELLINGS[spelling](line) != line for line in group.lines)
        assert _check(group, SPELLINGS[spelling]) == _check(group), group.lines
    assert changed


def test_a_label_is_never_evidence_and_never_a_fault() -> None:
    for group in GROUPS:
        items = _check(group, lambda line: "标签/" + re.sub(r"×\d+，?", ",", line))
        assert not [item for item in items if item.right or item.wrong]


@pytest.mark.parametrize("mission", KINDS_OF)
def test_no_photo_of_nothing_helps(mission: str) -> None:
    for nothing in ("无关图片", "", "备注: 看不清", "合格，通过", "{}", "标签/可以识别×9"):
        assert codes(check({"图片_1": nothing}, _rules(mission))) == ["evidence_missing"]


def test_a_further_fault_is_never_lost() -> None:
    """Whatever stands beside it, a stated fault that no photo may settle is stated."""
    for group, fault in _faults():
        lines = {photo_key(index): line for index, line in enumerate((*group.lines, fault))}
        items = check(lines, _rules(group.mission))
        assert "evidence_against" in codes(items), describe(items)
        assert photo_key(len(group.lines)) in describe(items)


def _faults() -> Iterator[tuple[MadeGroup, str]]:
    by_mission = dict(
        zip(
            KINDS_OF,
            (
                "螺丝、光纤插头/BBU安装螺丝,不符合要求/未拧紧×1",
                "电线/分布散乱×1",
                "光纤/无保护措施,弯曲半径合理×1",
                "挡风板/华为,显示完整,安装方向错误×1",
            ),
            strict=True,
        )
    )
    for group in GROUPS:
        yield group, by_mission[group.mission]
