"""Second opinions: drawn groups, judged by another person who knows nothing of the first one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import STATES
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.team import SecondOpinions
from tests.review.runs import FAIL, PASS, TIME, Group, write_run
from tests.team.crew import Clock, add, people_of, sign_in

HERE = "http://127.0.0.1:8765"
GROUPS = [Group(f"QC-{n:02d}", FAIL if n % 3 else PASS, p_pass=0.5 + n / 50) for n in range(12)]
SECRET = re.compile("泄密|过失|李工|改判 [1-9]")
"""What the first one, 李工, wrote and was called."""


@pytest.fixture
def index(tmp_path: Path, demo_photos: list[Path]) -> Index:
    index = Index(write_run(tmp_path / "run", GROUPS, demo_photos[:2]))
    people = people_of(index.database)
    add(people, "主任", role="lead")
    add(people, "李工", "王工", "张工")
    SecondOpinions(index.database).plan(1.0, "all")
    return index


@pytest.fixture
def app(index: Index) -> FastAPI:
    prompting = Prompting(load_missions(), load_prompts())
    people = people_of(index.database, Clock())
    return create_app(Review("run", index, prompting), people=people)


def _client(app: FastAPI, name: str) -> TestClient:
    client = TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False)
    assert sign_in(client, name) == 303
    return client


@pytest.fixture
def second(app: FastAPI) -> Iterator[TestClient]:
    with _client(app, "王工") as client:
        yield client


def _decide(index: Index, number: int, choice: str = PASS, reviewer: str = "李工") -> Decision:
    group = index.group(number)
    assert group is not None
    current = index.decisions.current(group.entry.key)
    fields = {"choice": choice, "comment": "泄密", "fault": "过失"}
    version = (current.version if current else 0) + 1
    opinion = Opinion.model_validate(fields)
    return index.decisions.add(Decision.on(group.entry, opinion, reviewer, version))


def _tickets(client: TestClient) -> list[str]:
    return re.findall(r'class="row" href="/second/([0-9a-f]{32})"', client.get("/second").text)


def _form(client: TestClient, ticket: str, **fields: str) -> dict[str, str]:
    page = client.get(f"/second/{ticket}").text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    return {
        "key": hidden["key"],
        "seen": TIME,
        "version": hidden["version"],
        "choice": PASS,
    } | fields


def _give(client: TestClient, ticket: str, choice: str = PASS, **fields: str) -> str:
    answer = client.post(f"/second/{ticket}", data=_form(client, ticket, choice=choice, **fields))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_decided_groups_wait_for_another_person(
    index: Index, app: FastAPI, second: TestClient
) -> None:
    assert _tickets(second) == []
    for number, choice in ((1, PASS), (2, FAIL), (3, "待定"), (4, PASS)):
        _decide(index, number, choice)
    first, other, last = _tickets(second)
    with _client(app, "李工") as client:
        assert _tickets(client) == []
        for ticket in (first, other):
            assert client.get(f"/second/{ticket}").status_code == 404
            form = {"choice": PASS, "version": "0"}
            assert client.post(f"/second/{ticket}", data=form).status_code == 404
    assert _give(second, first, FAIL, comment="看不清") == f"/second/{other}"
    assert _give(second, other, "待定") == f"/second/{last}"
    assert _give(second, last).startswith("/second?told=second_end")
    rows = list(reversed(app.state.site.opinions.trail()))
    said = [(r.reviewer, r.opinion and r.opinion.choice, r.version, r.share) for r in rows]
    assert said == [("王工", c, 1, 1.0) for c in (FAIL, "待定", PASS)]
    # Nothing of it is the current decision of a group.
    assert {d.reviewer for d in index.decisions.trail()} == {"李工"}
    # One is enough; what was deferred stays with whoever deferred it.
    with _client(app, "张工") as third:
        assert _tickets(third) == []
        form = {"choice": PASS, "version": "1", "seen": TIME, "key": "x"}
        assert "second_closed" in third.post(f"/second/{first}", data=form).headers["location"]
    assert _give(second, other, FAIL).startswith("/second?")
    assert (
        second.post("/second/undo").headers["location"].startswith(f"/second/{other}?told=undone")
    )
    assert len(app.state.site.opinions.trail()) == 5


@pytest.mark.parametrize("language", ["zh", "en"])
def test_nothing_of_the_first_decision_is_told(
    index: Index, app: FastAPI, second: TestClient, language: str
) -> None:
    """Runs that differ in who decided, and what, answer the same."""
    tours: list[list[str]] = []
    second.cookies.set("language", language)
    for choice, reviewer in ((PASS, "李工"), (FAIL, "张工")):
        for number in (1, 2, 5):
            _decide(index, number, choice, reviewer)
        tickets = _tickets(second)
        assert len(tickets) == 3
        addresses = [
            "/",
            *(f"/?state={state}" for state in (*STATES, "all")),
            "/second",
            "/trail",
            "/group/4",
            "/group/1",
            "/group/5",
        ]
        addresses += [f"/second/{ticket}" for ticket in tickets]
        addresses += [f"/?text=QC-0{n}&state={s}" for n in range(3) for s in ("overruled", "all")]
        addresses += ["/changes?after=0", "/?queue=labels&state=all", "/bulk?pick=1&pick=2"]
        answers = [second.get(address) for address in addresses]
        answers.append(second.post("/group/1", data={"choice": PASS, "key": _key(index, 1)} | V))
        answers.append(second.post(f"/second/{tickets[0]}", data={"choice": PASS, "version": "9"}))
        for ticket in tickets[:2]:
            answers.append(second.post(f"/second/{ticket}", data=_form(second, ticket)))
            answers.append(second.get(f"/second/{ticket}"))
        answers += [second.post("/second/undo") for _ in range(2)]
        tours.append([_readable(a.status_code, a.headers, a.text) for a in answers])
        for text in tours[-1]:
            assert not (match := SECRET.search(text.replace("张工", "李工"))), (match, text)
        for address in ("/export", "/export/decisions.jsonl", "/trail/second", "/trail/team"):
            assert second.get(address).status_code == 403
    for one, another in zip(*tours, strict=True):
        assert one == another


V = {"version": "0", "seen": TIME}


def _key(index: Index, number: int) -> str:
    group = index.group(number)
    assert group is not None
    return group.entry.key


def _readable(status: int, headers: Mapping[str, str], text: str) -> str:
    """Give all of an answer but what counts up with each decision, whatever it is."""
    headers = {name: value for name, value in headers.items() if name != "content-length"}
    numbers = r'(name="version" value="|data-live="|"(?:number|decision)":)\d+'
    return f"{status} {headers} " + re.sub(numbers, r"\1", text)


def test_deciding_several_leaves_out_what_somebody_decided_meanwhile(
    index: Index, second: TestClient
) -> None:
    page = second.get("/bulk?pick=1&pick=2").text
    form = dict(re.findall(r'type="hidden" name="(\w+-\d)" value="([^"]*)"', page))
    ticked = {**form, "take-0": "1", "take-1": "1", "choice": PASS}
    _decide(index, 1, FAIL)
    for _ in range(2):
        answer = second.post("/bulk", data=ticked)
        assert not SECRET.search(answer.text)
        assert answer.status_code in (303, 409)
    said = {n: index.decisions.history(_key(index, n))[0] for n in (1, 2)}
    assert {n: (d.reviewer, d.version) for n, d in said.items()} == {1: ("李工", 1), 2: ("王工", 1)}


def test_drafts_of_a_browser_are_of_whoever_has_signed_in(app: FastAPI) -> None:
    names = []
    for name in ("王工", "张工", "王工"):
        with _client(app, name) as client:
            names += re.findall(r'data-draft="(\w+) ', client.get("/group/1").text)
    assert names[0] == names[2] != names[1]
