"""Second opinions: drawn groups, judged by another person who knows nothing of the first one."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.index import STATES, SecondEntry
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
    index: Index,
    app: FastAPI,
    second: TestClient,
    language: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Runs that differ in who decided, and what, answer the same."""
    # On a busy machine a count that takes long is kept for a while, in one of the two tours.
    monkeypatch.setattr("shenhe.review.index.seconds.QUICK_SECONDS", math.inf)
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


def _disputed(index: Index, app: FastAPI, second: TestClient) -> int:
    """Have two people differ on a group; give its number."""
    for number in (1, 2, 4):
        _decide(index, number)
    for ticket, choice in zip(_tickets(second), (FAIL, PASS, "待定"), strict=True):
        _give(second, ticket, choice, comment="看不清")
    pairs = app.state.site.index.second.pairs()
    (disputed,) = [p for p in pairs if p.is_disputed and p.second.opinion.choice == FAIL]
    group = index.group_by_key(disputed.second.key)
    assert group is not None
    return group.entry.number


def _adjudicate(client: TestClient, number: int, **fields: str) -> tuple[int, str]:
    page = client.get(f"/group/{number}").text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    form = {name: hidden[name] for name in ("key", "seen", "version", "adjudicates")}
    answer = client.post(f"/group/{number}", data=form | {"choice": FAIL} | fields)
    return answer.status_code, answer.headers.get("location", "")


def test_a_lead_decides_between_two(index: Index, app: FastAPI, second: TestClient) -> None:
    number = _disputed(index, app, second)
    with _client(app, "主任") as lead:
        page = lead.get("/team/disagreements").text
        assert "有 2 组两人意见不一致" in page
        for words in ("李工", "泄密", "王工", "看不清", f"/group/{number}"):
            assert words in page
        assert 'id="dispute"' in lead.get(f"/group/{number}").text
        assert _adjudicate(lead, number, adjudicates="1 99")[0] == 409
        status, location = _adjudicate(lead, number)
        assert (status, location) == (303, "/team/disagreements?told=adjudicated")
        assert "有 1 组两人意见不一致" in lead.get(location).text
        group = index.group(number)
        assert group is not None
        current = index.decisions.current(group.entry.key)
        assert current is not None
        assert current.opinion is not None
        assert (current.reviewer, current.opinion.choice) == ("主任", FAIL)
        assert current.opinion.adjudicates is not None
        assert current.opinion.adjudicates.reviewers == ("李工", "王工")
        first = index.decisions.history(group.entry.key)[1]
        assert current.opinion.adjudicates.first == first.number
        assert "裁定" in lead.get(f"/group/{number}").text
        assert "裁定" in lead.get("/trail").text
        assert 'id="dispute"' not in lead.get(f"/group/{number}").text
        # Whoever looks again later is asked nothing more.
        assert number not in [entry.number for entry in _entries(app, "张工")]
        rows = lead.get("/team/trail.jsonl").text.splitlines()
        kinds = [json.loads(row)["kind"] for row in rows]
        assert {"decision", "second_opinion", "signed_in", "account_added"} <= set(kinds)
        assert "adjudicates" in lead.get("/trail/second").text + rows[-1] + "".join(rows)
        for kind in ("csv", "xlsx"):
            assert lead.get(f"/team/trail.{kind}").status_code == 200
        assert lead.get("/team/trail.html").status_code == 404


def test_an_undo_leaves_two_opinions_to_those_who_gave_them(
    index: Index, app: FastAPI, second: TestClient
) -> None:
    number = _disputed(index, app, second)
    _decide(index, number, FAIL, "张工")
    index.decisions.undo("张工")
    (pair,) = app.state.site.index.second.pairs(_key(index, number))
    assert pair.is_disputed
    assert (pair.current.reviewer, pair.first.reviewer) == ("李工", "李工")
    with _client(app, "主任") as lead:
        assert _adjudicate(lead, number)[0] == 303
    current = index.decisions.current(_key(index, number))
    assert current is not None
    assert current.opinion is not None
    assert current.opinion.adjudicates is not None
    assert current.opinion.adjudicates.reviewers == ("李工", "王工")


def _entries(app: FastAPI, name: str) -> list[SecondEntry]:
    entries: list[SecondEntry] = app.state.site.index.second.page(name)
    return entries


def test_nobody_else_decides_between_two(index: Index, app: FastAPI, second: TestClient) -> None:
    number = _disputed(index, app, second)
    form = {"key": _key(index, number), "adjudicates": "1 1", "choice": FAIL} | V
    with _client(app, "李工") as first:
        assert first.post(f"/group/{number}", data=form | {"version": "1"}).status_code == 403
        for page in ("disagreements", "agreement", "accounts", "trail.csv", "agreement.csv"):
            assert first.get(f"/team/{page}").status_code == 403
    assert "/second/" in second.post(f"/group/{number}", data=form).headers["location"]


def test_figures_of_a_team(index: Index, app: FastAPI, second: TestClient) -> None:
    _disputed(index, app, second)
    with _client(app, "主任") as lead:
        for language, none in (("zh", "所有结论都相同"), ("en", "all verdicts are the same")):
            lead.cookies.set("language", language)
            page = lead.get("/team/agreement").text
            assert not re.search(r"\bnan\b|None", page, re.IGNORECASE)
            assert "<td>2</td>" in page
            assert none not in page.split("<tbody>")[0]
            page = lead.get("/team/work?zone=%2B08:00").text
            assert "UTC+08:00" in page
            assert "李工" in page
            assert "王工" in page
        text = lead.get("/team/agreement.csv").content.decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert (rows[0]["of"], rows[0]["pairs"], rows[0]["agreed"]) == ("all", "2", "1")
        assert rows[0]["with_deferred"] == "1"
        text = lead.get("/team/work.csv?zone=%2B08:00").content.decode("utf-8-sig")
        work = {row["reviewer"]: row for row in csv.DictReader(io.StringIO(text))}
        assert (work["李工"]["decisions"], work["王工"]["second_opinions"]) == ("3", "3")
        assert lead.get("/team/work.xlsx").status_code == 200
        for zone in ("nowhere", "%2B99:00"):
            assert lead.get(f"/team/work?zone={zone}").status_code == 400
    own = second.get("/team/work").text
    assert "王工" in own
    assert "李工" not in own
    assert "李工" not in second.get("/team/work.csv").text


def test_figures_of_nobody(index: Index, app: FastAPI) -> None:
    with _client(app, "主任") as lead:
        for page in ("disagreements", "agreement", "work", "accounts"):
            assert lead.get(f"/team/{page}").status_code == 200
        assert lead.get("/team/agreement.csv").status_code == 200


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


def test_taking_back_lets_hold_again_what_was_said_before(
    index: Index, app: FastAPI, second: TestClient
) -> None:
    opinions = app.state.site.opinions
    _decide(index, 1)
    _decide(index, 2)
    deferred, other = _tickets(second)
    _give(second, deferred, "待定")
    _give(second, deferred, FAIL)
    _give(second, other)
    assert second.post("/second/undo").headers["location"].startswith(f"/second/{other}")
    assert second.post("/second/undo").headers["location"].startswith(f"/second/{deferred}")
    choices = [row.opinion and row.opinion.choice for row in opinions.trail()]
    assert choices == ["待定", None, PASS, FAIL, "待定"]
    assert "待定" in second.get(f"/second/{deferred}").text.split('id="own"')[1][:200]
    # One step more, past what was taken back already.
    assert "told=undone" in second.post("/second/undo").headers["location"]
    assert "told=nothing_to_undo" in second.post("/second/undo").headers["location"]
    assert opinions.all_standing() == {}


def test_an_open_page_of_a_second_opinion_holds_its_group(
    index: Index, app: FastAPI, second: TestClient
) -> None:
    entry = _decide(index, 1)
    (ticket,) = _tickets(second)
    assert f'data-held="second={ticket}"' in second.get(f"/second/{ticket}").text
    assert second.post("/hold", data={"second": ticket, "page": "p"}).json() == {"holder": ""}
    with _client(app, "张工") as third, _client(app, "李工") as first:
        # It is held, and nobody is named.
        assert third.post("/hold", data={"second": ticket, "page": "q"}).json() == {"holder": ""}
        assert "second-held" in third.get(f"/second/{ticket}").text
        assert first.post("/hold", data={"second": ticket, "page": "r"}).status_code == 404
        assert index.claims.held(but="") == {f"second {entry.key}": "王工"}
        assert third.post("/leave", data={"second": ticket, "page": "q"}).status_code == 204
        assert second.post("/leave", data={"second": ticket, "page": "p"}).status_code == 204
        assert index.claims.held(but="") == {}
    assert second.post("/hold", data={"second": "0" * 32, "page": "p"}).status_code == 404


@pytest.mark.parametrize("name", ["王工", "李工", "主任"])
def test_what_was_taken_back_is_seen_by_its_author_and_leads(
    index: Index, app: FastAPI, name: str
) -> None:
    head = _decide(index, 1).number
    index.decisions.undo("李工")
    _decide(index, 2, "待定")
    _decide(index, 3)
    index.decisions.add(_outdated(index, 4))
    with _client(app, name) as client:
        pages = [client.get(f"/group/{number}").text for number in (1, 2, 4)]
        changes = client.get(f"/changes?after={head}").json()["changes"]
        bulk = client.get("/bulk?pick=1&pick=2&pick=4").text
    taken_back, deferred, outdated = pages
    told = ["泄密" in page and "过失" in page for page in pages]
    numbers = {change["group"] for change in changes}
    if name == "王工":
        assert told == [False] * 3
        assert not SECRET.search(taken_back + outdated + bulk)
        assert "李工" in deferred  # that it waits, and who left it, everybody sees
        assert "下过结论之后照片有变化" in outdated
        assert (numbers & {1, 2, 3}) == {2}
    else:
        assert told == [True] * 3
        assert "李工 判为" in re.sub("<[^>]*>", "", outdated)
        assert (numbers & {1, 2, 3}) == {1, 2, 3}
    versions = [re.findall(r'name="version" value="(\d+)"', page)[0] for page in pages]
    assert versions == ["2", "1", "1"]


def test_without_second_opinions_all_is_seen(tmp_path: Path, demo_photos: list[Path]) -> None:
    index = Index(write_run(tmp_path / "run", GROUPS[:3], demo_photos[:1]))
    people = people_of(index.database, Clock())
    add(people, "主任", role="lead")
    add(people, "李工", "王工")
    app = create_app(
        Review("run", index, Prompting(load_missions(), load_prompts())), people=people
    )
    _decide(index, 1)
    index.decisions.undo("李工")
    _decide(index, 2, "待定")
    with _client(app, "王工") as client:
        assert all("泄密" in client.get(f"/group/{number}").text for number in (1, 2))
        assert len(client.get("/changes?after=1").json()["changes"]) == 2


def _outdated(index: Index, number: int) -> Decision:
    """Make a decision of 李工 on photos that have changed since."""
    group = index.group(number)
    assert group is not None
    opinion = Opinion(choice=FAIL, comment="泄密", faults=("过失",))
    entry = group.entry._replace(inputs="0" * 16)
    return Decision.on(entry, opinion, "李工")
