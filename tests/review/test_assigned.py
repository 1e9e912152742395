"""The queue of an inspector holds his own groups, and those that are nobody's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import Filters
from shenhe.team.assignments import Assignments
from tests.review.runs import TIME, Group, write_run
from tests.team.crew import Clock, add, people_of, sign_in

HERE = "http://127.0.0.1:8765"
OTHER = "BBU接地线检查"
GROUPS = [Group(f"QC-{'东西'[n % 2]}-{n:02d}", extra={"region": "东西"[n % 2]}) for n in range(20)]
GROUPS += [Group(f"QC-无-{n:02d}", mission=OTHER) for n in range(20, 30)]
ROW = re.compile(r'class="row" href="/group/(\d+)')


@pytest.fixture
def index(tmp_path: Path, demo_photos: list[Path]) -> Index:
    index = Index(write_run(tmp_path / "run", GROUPS, demo_photos[:1]))
    people = people_of(index.database)
    add(people, "主任", role="lead")
    add(people, "李工", "王工", "张工")
    return index


@pytest.fixture
def app(index: Index) -> FastAPI:
    prompting = Prompting(load_missions(), load_prompts())
    return create_app(Review("run", index, prompting), people=people_of(index.database, Clock()))


def _client(app: FastAPI, name: str) -> TestClient:
    client = TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False)
    assert sign_in(client, name) == 303
    return client


def _own(index: Index, name: str) -> set[str]:
    filters = Filters(scope=index.scope_of(name))
    entries = index.page(filters, count=99)
    assert index.progress(filters).groups == len(entries)
    return {entry.group_id for entry in entries}


def _ids(part: str) -> set[str]:
    return {group.group_id for group in GROUPS if part in group.group_id}


def test_everybody_has_his_own(index: Index) -> None:
    everything = {group.group_id for group in GROUPS}
    assert index.scope_of("李工") is None
    rules = Assignments(missions={OTHER: ("李工",)}, regions={"东": ("王工", "张工")})
    index.assignments.write(rules, "主任")
    west = _ids("西")
    assert _own(index, "李工") == _ids("无") | west
    wang, zhang = _own(index, "王工"), _own(index, "张工")
    assert wang & zhang == west  # nobody's
    assert wang | zhang == _ids("东") | west
    assert _own(index, "nobody") == west
    index.assignments.write(Assignments(share=("李工", "王工")), "主任")
    assert _own(index, "李工") | _own(index, "王工") == everything
    assert not _own(index, "李工") & _own(index, "王工")
    assert _own(index, "张工") == set()
    by_part = Assignments("group_id:2", regions={"无": ("张工",)}, share=("李工",))
    index.assignments.write(by_part, "主任")
    assert _own(index, "张工") == _ids("无")
    assert _own(index, "李工") == everything - _ids("无")


def test_rules_may_be_many_and_name_people_who_have_gone(index: Index) -> None:
    regions = {f"区{n}": ("王工",) for n in range(3000)} | {"东": ("王工", "张工")}
    index.assignments.write(Assignments(regions=regions), "主任")
    whole = _own(index, "王工") | _own(index, "张工")
    assert whole == {group.group_id for group in GROUPS}
    people = people_of(index.database)
    people.accounts.set_active("张工", False, "主任")
    assert _own(index, "王工") == whole
    # What nobody is left for is anybody's.
    people.accounts.set_active("王工", False, "主任")
    assert _own(index, "李工") == whole


def test_a_queue_holds_ones_own_unless_all_are_wanted(index: Index, app: FastAPI) -> None:
    index.assignments.write(Assignments(missions={OTHER: ("李工",)}, share=("王工",)), "主任")
    numbers = {entry.number for entry in index.page(Filters(mission=OTHER), count=99)}
    with _client(app, "李工") as client:
        page = client.get("/").text
        assert set(map(int, ROW.findall(page))) == numbers
        assert 'name="mine"' in page
        assert len(ROW.findall(client.get("/?mine=all").text)) == len(GROUPS)
        assert client.get("/?mine=x").status_code == 400
        last = max(numbers)
        group = index.group(last)
        assert group is not None
        form = {"key": group.entry.key, "seen": TIME, "version": "0", "choice": "通过"}
        answer = client.post(f"/group/{last}", data=form)
        assert int(answer.headers["location"].rpartition("/")[2]) in numbers - {last}
        assert client.get("/team/assignments").status_code == 403
        assert client.post("/team/assignments", data={}).status_code == 403
    with _client(app, "主任") as lead:
        page = lead.get("/").text
        assert len(ROW.findall(page)) == len(GROUPS) - 1
        assert 'name="mine"' not in page


def _seen(page: str) -> str:
    match = re.search(r'name="seen" value="(\w+)"', page)
    assert match
    return match[1]


def test_a_lead_is_told_what_another_has_changed_meanwhile(index: Index, app: FastAPI) -> None:
    add(people_of(index.database), "经理", role="lead")
    address = "/team/assignments"
    with _client(app, "主任") as lead, _client(app, "经理") as other:
        seen, seen_too = (_seen(client.get(address).text) for client in (lead, other))
        box = {'["regions", "东", "王工"]': "1", "region_field": "region"}
        assert lead.post(address, data=box | {"seen": seen}).status_code == 303
        rules = index.assignments.read()
        sent = {'["regions", "东", "李工"]': "1", '["share", "", "李工"]': "1"}
        sent["region_field"] = "group_id:2"
        for version in ({"seen": seen_too}, {}):  # and of a page that is older than the check
            answer = other.post(address, data=sent | version)
            assert answer.status_code == 409
            assert "没有保存" in answer.text
            assert answer.text.count(" checked") == 2
            for now in (r"<bdi>王工</bdi>", "没有分给任何人", r"<bdi>region</bdi>"):
                assert re.search(rf"现在生效: {now}</b>", answer.text), now
            assert index.assignments.read() == rules
        # Whoever has seen both may put his own in the place of the others.
        assert other.post(address, data=sent | {"seen": _seen(answer.text)}).status_code == 303
        assert index.assignments.read().share == ("李工",)
        # The same once more, as by a second click, is no conflict.
        assert other.post(address, data=sent | {"seen": seen_too}).status_code == 303


def test_a_lead_assigns(index: Index, app: FastAPI) -> None:
    with _client(app, "主任") as lead:
        page = lead.get("/team/assignments").text
        for words in (OTHER, "东", "西", "李工", "其余"):
            assert words in page
        boxes = ['["regions", "东", "王工"]', '["share", "", "李工"]', '["share", "", "王工"]']
        form = {"region_field": " region ", "seen": _seen(page), **dict.fromkeys(boxes, "1")}
        assert lead.post("/team/assignments", data=form).status_code == 303
        rules = index.assignments.read()
        assert rules == Assignments(regions={"东": ("王工",)}, share=("李工", "王工"))
        assert lead.get("/team/assignments?told=assigned").text.count(" checked") == 3
        bad = (
            *('["regions", "东", "nobody"]', '["x", "", "王工"]', "[", "[1, 2]", "[[], [], []]"),
            *('["missions", "m", []]', '["missions", "\\ud800", "王工"]', "[" * 9000),
            *('["share", "x", "王工"]', f'["regions", "{"x" * 201}", "王工"]'),
        )
        for box in bad:
            assert lead.post("/team/assignments", data={box: "1"}).status_code == 400
        evil = lead.post("/team/assignments", data={}, headers={"Origin": "http://evil.example"})
        assert evil.status_code == 403
        assert index.assignments.read() == rules
        # A mission that has no groups yet stays on the page, and so in force when it is saved.
        later = Assignments(missions={"以后的任务": ("张工",)}, regions={"\u202e": ("张工",)})
        index.assignments.write(later, "主任")
        page = lead.get("/team/assignments").text
        assert page.count(" checked") == 2
        assert page.count("\u202e") == 1
        index.assignments.write(rules, "主任")
        assert "更改分工" in lead.get("/trail/team").text
        lead.cookies.set("language", "en")
        assert "assignments changed" in lead.get("/trail/team").text
