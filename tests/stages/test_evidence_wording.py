"""No spelling of a fault hides it, and nothing that is not there is evidence."""

from __future__ import annotations

import pytest

from shenhe.config import load_missions
from shenhe.stages.evidence import check, codes, find_contradiction

MISSIONS = load_missions()
SCREW, WIRE, FIBRE, BAFFLE = (
    "BBU安装方式检查（正装）",
    "BBU接地线检查",
    "BBU线缆布放要求",
    "挡风板安装检查",
)
FINE = {
    SCREW: "BBU设备/华为,显示完整×1，螺丝、光纤插头/BBU安装螺丝,符合要求×2",
    WIRE: "螺丝、光纤插头/机柜处接地螺丝,符合要求×1，螺丝、光纤插头/地排处接地螺丝,符合要求×1",
    FIBRE: "螺丝、光纤插头/BBU端光纤插头,符合要求×1，螺丝、光纤插头/ODF端光纤插头,符合要求×1，"
    "光纤/有保护措施,弯曲半径合理/蛇形管×1",
    BAFFLE: "BBU设备/这个BBU设备按要求配备了挡风板×1，挡风板/华为,安装方向正确×1",
}
OF_SCREW = "螺丝、光纤插头/BBU安装螺丝"


def _codes(mission: str, *lines: str) -> list[str]:
    rules = MISSIONS.get(mission).evidence
    assert rules is not None
    return codes(check({f"图片_{n}": line for n, line in enumerate(lines, 1)}, rules))


@pytest.mark.parametrize(
    ("mission", "line"),
    [
        *(
            (SCREW, f"{OF_SCREW},不符合{hidden}要求×1")
            for hidden in "\u200b\u2060\ufe0f\u00ad\u0336"
        ),
        (SCREW, "螺丝、光纤插头/BBU安\ufeff装螺丝,不符合要求×1"),
        (SCREW, f"{OF_SCREW},未擰緊×1"),
        (FIBRE, "光纖/無保護措施,彎曲半徑合理×1"),
        (WIRE, "电线/分布散亂×1"),
        (BAFFLE, "擋風板/安裝方向錯誤×1"),
        (SCREW, f"{OF_SCREW}不符合要求×1"),
        (SCREW, f"{OF_SCREW}/不合格×1"),
        (SCREW, f"{OF_SCREW}/松动×1"),
        (SCREW, f"{OF_SCREW}/“不符合要求”×1"),
        (SCREW, f"{OF_SCREW}/不符合要求！×1"),
        (SCREW, f"{OF_SCREW}/不符合要求×1个"),
        (SCREW, f"1. {OF_SCREW}/不符合要求×1"),
        (SCREW, f"标签/A×1 {OF_SCREW}/不符合要求×1"),
        (SCREW, f"{OF_SCREW}|不符合要求×1".replace("/", "-")),
        (SCREW, "螺丝钉/BBU安装螺丝/不符合要求×1"),
        (SCREW, "BBU安装螺丝不符合要求×1"),
        (SCREW, "螺丝/不符合要求×1"),
        (SCREW, "备注:BBU安装螺丝松动"),
        (SCREW, f"{OF_SCREW},符合要求/备注:其中一颗松动×2"),
        (SCREW, "备注:" + ",".join(f"品牌{n}" for n in range(150)) + ",BBU安装螺丝未拧紧"),
        (FIBRE, "光缆/无保护措施,弯曲半径合理×1"),
        (FIBRE, "光纤/没有保护措施,弯曲半径合理×1"),
        (FIBRE, "光纤/未保护×1"),
        (WIRE, "线缆/分布散乱×1"),
        (WIRE, "电线/捆扎不整齐×1"),
        (BAFFLE, "挡风板/安装方向不正确×1"),
        (BAFFLE, "挡风板/装反×1"),
        (SCREW, '{"统计":{"BBU安装螺丝":{"不符合要求":1}}}'),
        (SCREW, f'{{"{OF_SCREW}/不符合要求":1}}'),
        (SCREW, f'{{"summary":"{OF_SCREW}/不符合要求×1"}}'),
        (SCREW, f'["{OF_SCREW}/不符合要求×1"]'),
        (SCREW, f"{OF_SCREW}/并非符合要求×1"),
        (SCREW, f"{OF_SCREW}/不完全符合要求×1"),
        (SCREW, f"{OF_SCREW}/松×1"),
        (SCREW, f"{OF_SCREW}/有锈迹×1"),
        (SCREW, f"{OF_SCREW}/缺1颗×1"),
        (SCREW, f"{OF_SCREW}/未安装×1"),
        (SCREW, f"{OF_SCREW}/ＮＧ×1"),
        (SCREW, f"{OF_SCREW},符合要求×1，其中一颗未拧紧"),
        (SCREW, "BBU设备/华为,安装不牢固×1"),
        (SCREW, "BBU设备/华为/倒装×1"),
        (WIRE, "电线/未绑扎×1"),
        (WIRE, "電線/捆紮較亂×1"),
        (FIBRE, "光纤/无蛇形管×1"),
        (FIBRE, "光纤/保护措施缺失×1"),
        (FIBRE, "光纤/有保护措施,弯曲半径3cm×1"),
        (FIBRE, "螺丝、光纤插头/ODF端光纤插头,未插到位×1"),
        (BAFFLE, "挡风板/上下颠倒×1"),
        (BAFFLE, "导风板/安装方向错误×1"),
        (SCREW, '{"a":{"a":{"a":{"a":{"a":{"a":{"a":"BBU安装螺丝/不符合要求×1"}}}}}}}'),
    ],
)
def test_a_fault_is_found_in_whatever_words_a_line_states_it(mission: str, line: str) -> None:
    assert _codes(mission, FINE[mission], line) == ["evidence_against"]


@pytest.mark.parametrize(
    ("mission", "line"),
    [
        (SCREW, f"{OF_SCREW},符合要求,未见松动×1"),
        (SCREW, f"{OF_SCREW},符合要求/备注:是否松动无法判断×1"),
        (SCREW, f"{OF_SCREW},不符合要求×0"),
        (SCREW, "螺丝、光纤插头/机柜处接地螺丝,松动×1"),
        (SCREW, "标签/BBU安装螺丝松动,不合格×1"),
        (SCREW, "光纤/没有保护×1，电线/凌乱×1"),
        (WIRE, "光纤/散乱×1，挡风板/装反×1"),
        (FIBRE, "光纤/有保护措施/备注:一段裸露在外×1"),
        (FIBRE, '{"统计":[{"类别":"光纤","保护措施":{"有保护措施":2,"无保护措施":0}}]}'),
        (BAFFLE, "BBU设备/无需安装/备注:外框破损×1，螺丝/松动×1"),
    ],
)
def test_what_is_denied_doubted_or_of_another_mission_is_no_fault(mission: str, line: str) -> None:
    assert _codes(mission, FINE[mission], line) == []


@pytest.mark.parametrize(
    ("mission", "line"),
    [
        (SCREW, f"BBU设备×1，{OF_SCREW},符合要求×0"),
        (SCREW, f"BBU设备×1，{OF_SCREW},符合要求 x0"),
        (SCREW, f"BBU设备×1，{OF_SCREW},符合要求Ｘ０"),
        (SCREW, f"BBU设备×1，标签/A-x0×1，{OF_SCREW},符合要求x00"),
        *(
            (SCREW, f"BBU设备×1，{OF_SCREW},符合要求/{doubt}×1")
            for doubt in (
                "待复核",
                "需覆核",
                "无法看清",
                "可能",
                "模糊不清",
                "unclear",
                "未确认",
                "待定",
            )
        ),
        *((SCREW, f"BBU设备×1，{OF_SCREW},符合要求（{word}）×1") for word in ("疑似", "推测")),
        *(
            (SCREW, f"BBU设备×1，{OF_SCREW},符合要求×1，{piece}")
            for piece in (
                *("螺丝看不清", "注:螺丝看不清", "【备注】螺丝看不清", "(备注:螺丝看不清)"),
                *("[需复核]螺丝看不清", "說明：螺絲無法看清"),
            )
        ),
        (SCREW, f"BBU设备/未拍到×1，{OF_SCREW},符合要求×1"),
        (SCREW, f"BBU设备×0，{OF_SCREW},符合要求×1"),
        (SCREW, f"BBU设备/未见×1，{OF_SCREW},符合要求×1"),
        (SCREW, f"BBU设备×1，{OF_SCREW}/符合要求/不可见×1"),
        (SCREW, f"BBU设备×1，{OF_SCREW}/缺失,符合要求×1"),
        *(
            (BAFFLE, f'{{"统计":[{{"类别":"BBU设备","挡风板需求":{{"无需安装":{count}}}}}]}}')
            for count in ("0", "-1", "null", "false", '"无"', '"0个"')
        ),
    ],
)
def test_what_is_not_there_is_no_evidence(mission: str, line: str) -> None:
    assert _codes(mission, line) == ["evidence_missing"]


IN_JSON = (
    '{{"统计":[{{"类别":"BBU设备"}},'
    '{{"类别":"BBU安装螺丝","符合性":{{"符合要求":{count}}}{entry}}}]{end}}}'
)


@pytest.mark.parametrize(
    ("count", "entry", "end"),
    [
        *((count, "", "") for count in ("[]", "{}", '"1?"', '"约2个"', '1,"符合要求":0')),
        *(
            ("2", entry, "")
            for entry in (
                *(
                    ',"数量":0',
                    ',"数量":"约2"',
                    ',"備註":["看不清"]',
                    ',"备注":["看不清"],"备注":[]',
                ),
                *(
                    ',"可见性":{"看不清":1}',
                    ',"需复核":true',
                    ',"类别":"标签"',
                    ',"备注":[["看不清"]]',
                ),
            )
        ),
        *(
            ("2", "", end)
            for end in (
                *(',"備註":"螺丝看不清"', ',"说明":"螺丝看不清"', ',"remarks":["螺丝看不清"]'),
                *(',"备注 ":"螺丝看不清"', ',"需复核":"螺丝看不清"', ',"备注":[["螺丝看不清"]]'),
            )
        ),
    ],
)
def test_what_json_leaves_in_doubt_is_no_evidence(count: str, entry: str, end: str) -> None:
    line = IN_JSON.format(count=count, entry=entry, end=end)
    assert _codes(SCREW, line) == ["evidence_missing"]


@pytest.mark.parametrize(
    ("count", "entry", "end"),
    [
        ("2", "", ""),
        ('"2个"', "", ""),
        ("2", ',"数量":2', ',"备注":[]'),
        ("2", ',"品牌":{"无法判断":1}', ""),
        ("2", ',"备注":["无"]', ',"备注":["无法判断品牌"]'),
    ],
)
def test_json_without_doubt_is_evidence(count: str, entry: str, end: str) -> None:
    assert _codes(SCREW, IN_JSON.format(count=count, entry=entry, end=end)) == []


@pytest.mark.parametrize(
    "number", ['"两个"', '"若干"', '"多颗"', '"十二颗"', "null", '"?"', '"全部"', "2", '"2颗"']
)
def test_a_count_in_words_hides_no_fault(number: str) -> None:
    right = IN_JSON.format(count="2", entry="", end="")
    wrong = f'{{"类别":"螺丝、光纤插头/BBU安装螺丝","数量":{number},"状态":"未拧紧"}}'
    assert "evidence_against" in _codes(SCREW, right, wrong)
    wrong = f'{{"类别":"螺丝、光纤插头/BBU安装螺丝","状态":{{"未拧紧":{number}}}}}'
    if number != "null":
        assert "evidence_against" in _codes(SCREW, right, wrong)


@pytest.mark.parametrize("number", ["0", '"0个"', '"无"', '"零"', '"没有"', '""', "null", '"若干"'])
def test_an_entry_of_none_keeps_its_remark(number: str) -> None:
    doubtful = f',"数量":{number},"备注":"螺丝看不清"'
    entry = f'}},{{"类别":"BBU安装螺丝"{doubtful}'
    assert _codes(SCREW, IN_JSON.format(count="2", entry=entry, end="")) == ["evidence_missing"]


@pytest.mark.parametrize("number", ['"两个"', '"二颗"', '"十个"', "null"])
def test_a_count_in_words_is_evidence(number: str) -> None:
    assert _codes(SCREW, IN_JSON.format(count="2", entry=f',"数量":{number}', end="")) == []


def test_no_spelling_hides_what_contradicts_a_pass() -> None:
    for reason in ("此项不\u200b通过", "此项不通過", "螺丝未擰緊", "螺丝不\u2060符合要求"):
        assert find_contradiction(reason, MISSIONS.get(SCREW).evidence), reason
