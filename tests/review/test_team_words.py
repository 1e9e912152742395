"""The words of a team's pages, as each of its people sees them, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from shenhe.languages import LANGUAGES
from tests.review.shown_words import check_words
from tests.review.team_site import lone_site, team_site
from tests.review.test_words import HERE
from tests.team.crew import PASSWORD, sign_in

LEAD = (
    *("/", "/group/3", "/group/4", "/second", "/trail", "/trail/second", "/trail/team", "/account"),
    *("/team/disagreements", "/team/disagreements?told=adjudicated", "/team/agreement"),
    *("/team/work", "/team/work?zone=-03:30", "/team/assignments?told=assigned", "/team/accounts"),
    *("/team/work?zone=x", "/team/trail.pdf", "/compare", "/compare/2"),
)
INSPECTOR = ("/", "/?mine=all", "/second", "/team/work", "/team/agreement", "/trail")
JOINED = {"code": "x", "password": PASSWORD, "again": "y"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> FastAPI:
    return team_site(tmp_path_factory.mktemp("team"), demo_photos[:1])


def _client(app: FastAPI, name: str, language: str) -> TestClient:
    client = TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False)
    assert not name or sign_in(client, name) == 303
    client.cookies.set("language", language)
    return client


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_pages_of_a_team_say(app: FastAPI, language: str) -> None:
    stranger = _client(app, "", language)
    pages = [(path, stranger.get(path).text) for path in ("/sign-in", "/join")]
    pages += [("joined", stranger.post("/join", data=JOINED).text)]
    for name, paths in (("主任", LEAD), ("王工", INSPECTOR)):
        client = _client(app, name, language)
        pages += [(path, client.get(path).text) for path in paths]
        bad = client.post("/team/assignments", data={'["missions", "m", "nobody"]': "1"})
        pages.append((f"a rule of {name}", bad.text))
    (ticket, *_) = re.findall(r'href="(/second/[0-9a-f]{32})"', client.get("/second").text)
    pages.append(("second", client.get(ticket).text))
    for page, text in pages:
        check_words(page, text, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_pages_of_a_new_team_say(
    tmp_path: Path, demo_photos: list[Path], language: str
) -> None:
    """Nobody has decided anything, nothing is assigned, nothing is reviewed twice."""
    app = team_site(tmp_path, demo_photos[:1], judged=False)
    client = _client(app, "主任", language)
    for path in (*LEAD, "/team/agreement.csv", "/team/work.xlsx"):
        answer = client.get(path)
        assert answer.status_code < 500, path
        if "html" in answer.headers["content-type"]:
            check_words(path, answer.text, language)
    alone = _client(lone_site(tmp_path / "before", "t" * 24), "", language)
    for path in ("/login", "/login?token=x"):
        check_words(path, alone.get(path).text, language)
