"""Signing in to the pages, and what nobody reaches without it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.routes import ROUTERS
from shenhe.team import People, open_database
from tests.review.runs import TIME, thirty, write_run
from tests.team.crew import PASSWORD, Clock, add, people_of, sign_in

HERE = "http://127.0.0.1:8765"
HTML = {"Accept": "text/html"}


@pytest.fixture
def run_dir(tmp_path: Path, demo_photos: list[Path]) -> Path:
    return write_run(tmp_path / "run", thirty(), demo_photos[:1])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def people(run_dir: Path, clock: Clock) -> People:
    return people_of(open_database(run_dir), clock)


@pytest.fixture
def app(run_dir: Path, people: People) -> FastAPI:
    prompting = Prompting(load_missions(), load_prompts())
    return create_app(Review("机密运行", Index(run_dir), prompting), None, "李工", people=people)


def _client(app: FastAPI, here: str = HERE) -> TestClient:
    return TestClient(app, here, headers={"Origin": here}, follow_redirects=False)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with _client(app) as client:
        yield client


def _decide(client: TestClient, number: int, choice: str = "通过") -> int:
    page = client.get(f"/group/{number}").text
    (key,) = re.findall(r'name="key" value="([^"]*)"', page) or [""]
    (version,) = re.findall(r'name="version" value="([^"]*)"', page) or ["0"]
    form = {"key": key, "seen": TIME, "version": version, "choice": choice}
    return client.post(f"/group/{number}", data=form).status_code


def test_without_accounts_everything_is_as_it_was(client: TestClient) -> None:
    assert client.get("/").status_code == 200
    for path in ("/sign-in", "/join", "/account"):
        assert client.get(path).status_code == 404
    assert client.post("/sign-in", data={"name": "李工", "password": ""}).status_code == 404
    assert _decide(client, 1) == 303


def test_every_page_needs_a_session(client: TestClient, people: People) -> None:
    assert client.get("/").status_code == 200
    add(people, "李工", role="lead")  # while the server runs
    routes = [r for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)]
    assert len(routes) > 20
    client.cookies.set("reviewer", quote("李工"))
    client.cookies.set("shenhe_token", "x")
    client.cookies.set(f"shenhe_session_{people.sessions.run[:8]}", "x")
    open_routes = set()
    for route in routes:
        path = re.sub(r"\{\w+\}", "1", route.path)
        for method in route.methods or ():
            answer = client.request(method, path, headers=HTML)
            is_sent_on = answer.headers.get("location", "").startswith("/sign-in")
            if answer.status_code != 401 and not (is_sent_on and method == "GET"):
                open_routes.add(f"{method} {route.path}")
            assert "机密运行" not in answer.text
    assert open_routes == {
        *("GET /sign-in", "POST /sign-in", "GET /join", "POST /join", "POST /language"),
        *("GET /static/{tag}/{name}", "POST /theme"),
    }
    # Nothing is decided by a name.
    assert client.post("/group/1", data={"choice": "通过"}).status_code == 401
    answer = client.get("/group/3?state=open", headers=HTML)
    assert answer.headers["location"] == "/sign-in?next=%2Fgroup%2F3%3Fstate%3Dopen"
    assert client.get("/photo/1/1/small.jpg").status_code == 401


def test_a_decision_is_signed_by_the_account(
    client: TestClient, people: People, app: FastAPI
) -> None:
    add(people, "李工", role="lead")
    add(people, "王工")
    assert sign_in(client, "王工") == 303
    client.cookies.set("reviewer", quote("李工"))
    assert _decide(client, 1) == 303
    assert client.post("/name", data={"reviewer": "李工"}).headers["location"] == "/account"
    (decision,) = app.state.site.index.decisions.trail()
    assert decision.reviewer == "王工"
    page = client.get("/").text
    assert "审核员" in page
    assert "王工" in page
    assert client.post("/sign-out").headers["location"] == "/sign-in"
    assert client.get("/", headers=HTML).headers["location"] == "/sign-in"


def test_the_cookie_of_a_session(client: TestClient, people: People, app: FastAPI) -> None:
    add(people, "李工", role="lead")
    form = {"name": "李工", "password": PASSWORD}
    # An attacker's session is no longer one after the sign-in, and the new one is another.
    assert sign_in(client, "李工") == 303
    (name,) = client.cookies.keys()
    fixed = client.cookies[name]
    cookie = client.post("/sign-in", data=form).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert fixed not in cookie
    client.cookies.clear()
    client.cookies.set(name, fixed)
    assert client.get("/").status_code == 401
    with _client(app, "https://review.example") as behind_tls:
        cookie = behind_tls.post("/sign-in", data=form).headers["set-cookie"]
        assert cookie.startswith("__Host-")
        assert "Secure" in cookie
        assert behind_tls.get("/").status_code == 200


@pytest.mark.parametrize("language", ["zh", "en"])
def test_words_do_not_tell_which_was_wrong(
    client: TestClient, people: People, language: str
) -> None:
    add(people, "李工", "王工", role="lead")
    people.accounts.set_active("王工", False, "李工")
    people.accounts.add("张工", "inspector", "李工")
    client.cookies.set("language", language)
    answers = []
    for name in ("李工", "王工", "张工", "nobody"):
        for _ in range(7):
            answer = client.post("/sign-in", data={"name": name, "password": "wrong"})
            headers = {k: v for k, v in answer.headers.items() if k != "content-length"}
            answers.append((name, answer.status_code, headers, answer.text.replace(name, "")))
    by_name = [[rest for who, *rest in answers if who == name] for name, *_ in answers[::7]]
    assert all(each == by_name[0] for each in by_name)
    assert [status for status, *_ in by_name[0]] == [403] * 5 + [429] * 2
    assert "'retry-after': '1'" in str(by_name[0][-1])


def test_an_address_to_go_on_to_is_one_of_this_site(client: TestClient, people: People) -> None:
    add(people, "李工", role="lead")
    form = {"name": "李工", "password": PASSWORD}
    for bad in (
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "evil",
        "/\n/evil",
        "",
    ):
        assert client.post("/sign-in", data=form | {"next": bad}).headers["location"] == "/"
        client.post("/sign-out")
        page = client.get("/sign-in", params={"next": bad}).text
        assert "evil" not in page.split("<main")[1]
    answer = client.post("/sign-in", data=form | {"next": "/group/3?state=open"})
    assert answer.headers["location"] == "/group/3?state=open"


def test_a_foreign_page_signs_nobody_in_or_out(client: TestClient, people: People) -> None:
    add(people, "李工", role="lead")
    form = {"name": "李工", "password": PASSWORD}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999"):
        answer = client.post("/sign-in", data=form, headers={"Origin": origin})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (403, None)
    assert sign_in(client, "李工") == 303
    assert client.post("/sign-out", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/").status_code == 200


def test_a_link_sets_a_password_once(client: TestClient, people: People) -> None:
    secret = people.accounts.add("李工", "lead", "test")
    form = {"code": secret, "password": PASSWORD, "again": PASSWORD}
    assert client.get("/join").status_code == 200
    for problem in ({"again": "x"}, {"password": "short", "again": "short"}, {"code": "x"}):
        answer = client.post("/join", data=form | problem)
        assert answer.status_code == 422
        assert 'id="problem"' in answer.text
        assert PASSWORD not in answer.text
    assert client.post("/join", data=form).headers["location"] == "/"
    assert client.get("/").status_code == 200
    client.cookies.clear()
    assert client.post("/join", data=form).status_code == 422


def test_a_password_is_changed_by_who_has_it(
    client: TestClient, people: People, app: FastAPI, clock: Clock
) -> None:
    add(people, "李工", role="lead")
    assert sign_in(client, "李工") == 303
    new = "another password"
    form = {"present": PASSWORD, "password": new, "again": new}
    with _client(app) as elsewhere:
        assert sign_in(elsewhere, "李工") == 303
        for problem in ({"present": "x"}, {"again": "x"}, {"password": "short", "again": "short"}):
            assert client.post("/account", data=form | problem).status_code == 422
        answer = client.post("/account", data=form)
        assert answer.headers["location"] == "/account?told=password_changed"
        assert client.get("/account?told=password_changed").status_code == 200
        assert elsewhere.get("/").status_code == 401
    # A session that was left open does not help to guess the password.
    for _ in range(6):
        client.post("/account", data=form)
    assert client.post("/account", data=form | {"present": new}).status_code == 422


def test_names_are_shown_as_text(client: TestClient, people: People) -> None:
    name = "<b>'\"李&工"
    add(people, name, role="lead")
    answer = client.post("/sign-in", data={"name": f"{name}x\u202e", "password": "<i>wrong</i>"})
    assert "<b>" not in answer.text
    assert "<i>" not in answer.text
    assert sign_in(client, name) == 303
    assert "<bdi>&lt;b&gt;" in client.get("/account").text


def test_a_database_that_cannot_be_read_lets_nobody_in(
    client: TestClient, people: People, run_dir: Path
) -> None:
    add(people, "李工", role="lead")
    assert sign_in(client, "李工") == 303
    for path in (run_dir / "review").glob("team.sqlite*"):
        path.write_bytes(b"no database" * 400)
    answer = client.get("/")
    assert answer.status_code == 500
    assert "team.sqlite" in answer.text
    assert "机密运行" not in answer.text.split("<main")[1]


def test_only_leads_manage_accounts(client: TestClient, people: People, app: FastAPI) -> None:
    add(people, "李工", role="lead")
    add(people, "王工")
    assert sign_in(client, "王工") == 303
    actions: list[dict[str, str]] = [
        {"action": "add", "name": "张工", "role": "lead"},
        *({"action": action, "name": "李工"} for action in ("reset", "disable", "enable")),
        {"action": "role", "name": "王工", "role": "lead"},
    ]
    before = people.accounts.list()
    for form in actions:
        answer = client.post("/team/accounts", data=form)
        assert answer.status_code == 403
        assert "只有组长能看" in answer.text
    assert client.get("/team/accounts").status_code == 403
    # A role, or somebody else's name, in one's own form changes nothing either.
    form = {"present": "x", "name": "李工", "role": "lead", "password": "another password"}
    assert client.post("/account", data=form | {"again": "another password"}).status_code == 422
    assert people.accounts.list() == before
    with _client(app) as leads:
        assert sign_in(leads, "李工") == 303
        assert "王工" in leads.get("/team/accounts").text
        answer = leads.post("/team/accounts", data={**actions[0], "role": "inspector"})
        (link,) = re.findall(r"http://127.0.0.1:8765/join#([\w-]+)", answer.text)
        account = people.accounts.use_link(link, PASSWORD)
        assert account is not None
        assert account.role == "inspector"
        assert client.get("/").status_code == 200
        form = {"action": "disable", "name": "王工"}
        assert leads.post("/team/accounts", data=form).status_code == 303
        assert client.get("/").status_code == 401
        for bad in (
            *({"action": "disable", "name": "李工"}, {"action": "add", "name": "王工"}),
            *({"action": "role", "name": "王工", "role": "admin"}, {"action": "add", "name": ""}),
            {"action": "reset", "name": "nobody"},
        ):
            answer = leads.post("/team/accounts", data=bad)
            assert answer.status_code == 422, bad
            assert 'id="problem"' in answer.text
        assert leads.post("/team/accounts", data={"action": "drop"}).status_code == 400
        with _client(app) as own:
            assert sign_in(own, "李工") == 303
            assert leads.post("/team/accounts", data={"action": "reset", "name": "李工"}).text
            assert own.get("/").status_code == leads.get("/").status_code == 401
