"""Reasons for failing in the order of their keys, and the rule of a mission in words."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts, load_vocabulary
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import Filters
from shenhe.review.reasons import FURTHER, KEYS, Reasons
from shenhe.review.rules import describe_rule
from shenhe.rows.counts import RunCounts
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.decisions import Decisions
from shenhe.rows.manifest import Manifest
from tests.conftest import MISSION
from tests.review.runs import Group, write_run

HERE = "http://127.0.0.1:8765"

OWN = ("BBU设备 未按要求配备挡风板", "挡风板 安装方向错误")
"""What fails a group by the evidence rules of the mission."""


def _fail(decisions: Decisions, key: str, mission: str, at: str, *faults: str) -> None:
    opinion = Opinion(choice="不通过", faults=faults)
    group = {"key": key, "group_id": key, "mission": mission, "label": None, "verdict": "通过"}
    row = {**group, "version": 1, "said": opinion, "reviewer": "李工", "at": at}
    decisions.add(Decision.model_validate(row))


def test_reasons_of_the_mission_come_first_then_those_that_people_use(tmp_path: Path) -> None:
    decisions = Decisions(tmp_path)
    past, future = "2026-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"
    for key, faults in (("g1", ("其他",)), ("g2", ("其他", "线缆过长")), ("g3", (OWN[1],))):
        _fail(decisions, key, MISSION, past, *faults)
    _fail(decisions, "g4", "另一任务", past, "生锈")
    _fail(decisions, "g5", MISSION, future, "露铜")  # of this hour: the keys stay as they are
    reasons = Reasons(load_missions(), decisions, load_vocabulary().faults)
    offered = reasons.offer(MISSION, chosen=["以前的原因", "生锈"])
    texts = [chip.text for chip in offered]
    assert texts[:4] == [*OWN, "其他", "线缆过长"]
    assert texts[4:6] == load_vocabulary().faults[:2]
    assert texts[-1] == "以前的原因"
    assert len(texts) == len(set(texts))
    assert set(texts) >= {*load_vocabulary().faults, *FURTHER}
    assert "".join(chip.key for chip in offered) == KEYS
    assert reasons.offer("不知道的任务")[0].text == load_vocabulary().faults[0]


def test_rules_are_told_in_words() -> None:
    for mission in load_missions():
        rule = describe_rule(mission)
        assert rule is not None
        assert mission.evidence is not None
        assert len(rule.needs) == len(mission.evidence.needs)
        for item in (*rule.needs, *rule.faults):
            assert not {"/", "|"} & set("".join((item.name, *item.any_of, *item.when)))
    rule = describe_rule(load_missions().get("BBU接地线检查"))
    assert rule is not None
    assert [need.name for need in rule.needs] == [
        "机柜处接地螺丝 符合要求",
        "地排处接地螺丝 符合要求",
    ]
    assert rule.faults[2].name == "电线 分布散乱"
    assert describe_rule(None) is None


def test_the_rules_that_a_run_was_given_stand_beside_the_work(
    tmp_path: Path, demo_photos: list[Path]
) -> None:
    groups = [Group("QC-1"), Group("QC-2", mission="另一任务")]
    run = write_run(tmp_path / "run", groups, demo_photos[:1])
    texts = {"stage_a": "只看机柜内", "stage_b": "<b>先看</b>接地\n\n再看标签"}
    for stage, text in texts.items():
        path = run / stage / f"{MISSION}.jsonl"
        Manifest(path, {}, text).write(RunCounts(), "ended")
    review = Review("run", Index(run), Prompting(load_missions(), load_prompts()))
    client = TestClient(create_app(review, reviewer="李工"), HERE)
    numbers = {entry.group_id: entry.number for entry in review.index.page(Filters())}
    page, other = (client.get(f"/group/{numbers[name]}").text for name in ("QC-1", "QC-2"))
    panel = page[page.index('id="rule"') : page.index("</details>", page.index('id="rule"'))]
    lines = re.findall("<p><bdi>(.*?)</bdi></p>", panel)
    assert lines == ["只看机柜内", "&lt;b&gt;先看&lt;/b&gt;接地", "再看标签"]
    assert 'class="guidance"' not in other
    # Both stages with one text show it once; a manifest that is damaged hides no group.
    Manifest(run / "stage_a" / f"{MISSION}.jsonl", {}, texts["stage_b"]).write(RunCounts(), "ended")
    address = f"/group/{numbers['QC-1']}"
    assert client.get(address).text.count("再看标签") == 1
    (run / "stage_b" / f"{MISSION}.manifest.json").write_text("{", encoding="utf-8")
    assert client.get(address).text.count("再看标签") == 1
