"""What others have decided, for pages that stay open."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import Filters
from shenhe.rows.decision_rows import Decision, Opinion
from tests.review.runs import FAIL, PASS, thirty, write_run

HERE = "http://127.0.0.1:8765"


@pytest.fixture
def index(tmp_path: Path, demo_photos: list[Path]) -> Index:
    return Index(write_run(tmp_path / "run", thirty(), demo_photos[:1]), audit_share=1.0)


@pytest.fixture
def client(index: Index) -> TestClient:
    app = create_app(
        Review("run", index, Prompting(load_missions(), load_prompts())), reviewer="李工"
    )
    return TestClient(app, HERE, headers={"Origin": HERE, "Accept-Language": "zh"})


def test_changes_are_told_once_and_as_they_are_now(client: TestClient, index: Index) -> None:
    assert client.get("/changes?after=0").json() == {"number": 0}
    first, second = index.page(Filters())[2:4]
    index.decisions.add(Decision.on(first, Opinion(choice=FAIL), "王\u202e工"))
    index.decisions.add(Decision.on(second, Opinion(choice=PASS), "李工"))
    answer = client.get("/changes?after=0&verdict=undecided").json()
    assert answer["number"] == 2
    assert [(c["group"], c["choice"], c["overrules"]) for c in answer["changes"]] == [
        (second.number, PASS, False),
        (first.number, FAIL, True),
    ]
    assert answer["changes"][1]["told"] == "\u2068王\u202e工\u2069 刚刚判为 不通过"
    assert [each["told"] for each in answer["progress"]] == [
        "已审 2 / 30 组，改判 1 组",
        "已审 0 / 2 组，改判 0 组",
    ]
    assert client.get("/changes?after=2").json() == {"number": 2}
    index.decisions.undo("王\u202e工")
    (change,) = client.get("/changes?after=2").json()["changes"]
    assert (change["group"], change["choice"]) == (first.number, "")
    assert "撤销" in change["told"]
    # A page of a copy that was put back asks from beyond the end.
    assert client.get("/changes?after=99").json()["changes"] == []
    for query in ("", "after=", "after=x", "after=9223372036854775808", "after=1&state=x"):
        assert client.get(f"/changes?{query}").status_code == 400, query


def test_after_an_undo_it_is_told_whose_decision_holds(client: TestClient, index: Index) -> None:
    (entry,) = index.page(Filters(), count=1)
    first = index.decisions.add(Decision.on(entry, Opinion(choice=FAIL), "王工"))
    index.decisions.add(Decision.on(entry, Opinion(choice=PASS), "张工", 2))
    assert index.last_decision() == 2  # read already: the next one is followed
    index.decisions.undo("张工")
    (change,) = client.get("/changes?after=2").json()["changes"]
    assert change["choice"] == FAIL
    assert "张工\u2069 刚刚撤销了结论，现在是 \u2068王工\u2069 的结论：不通过" in change["told"]
    for fresh in (index, Index(index.run_dir)):
        (row,) = fresh.page(Filters(state="decided"))
        assert (row.reviewer, row.at, row.choice) == ("王工", first.at, FAIL)
    page = client.get("/?state=decided").text
    assert page[page.index("data-by") :][:120].count("王工") == 1
    index.decisions.undo("王工")
    (change,) = client.get("/changes?after=3").json()["changes"]
    assert "王工\u2069 刚刚撤销了结论" in change["told"]
    assert change["choice"] == ""
    assert index.page(Filters(state="decided")) == []


def test_pages_that_hide_what_others_say_do_not_ask(client: TestClient, index: Index) -> None:
    assert index.audit is not None
    for address in ("/", "/?queue=labels", "/group/3"):
        assert "data-live" in client.get(address).text
    for entry in index.audit.page("李工")[:1]:
        assert "data-live" not in client.get(f"/audit/{entry.ticket}").text
    assert "data-live" not in client.get("/audit").text
