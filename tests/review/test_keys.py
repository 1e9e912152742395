"""The list of keys stands on every page that has keys, and names the keys of that page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shenhe.config import load_missions, load_prompts
from shenhe.languages import LANGUAGES
from shenhe.review import Index, Prompting, Review, create_app
from shenhe.review.words import load_words
from tests.review.runs import Group, write_run
from tests.team.crew import Clock, add, people_of, sign_in

HERE = "http://127.0.0.1:8765"
PAGES = (
    *("/", "/?queue=labels", "/group/1", "/audit", "/second", "/bulk?pick=1", "/trail"),
    *("/trail/second", "/trail/team", "/export", "/account", "/team/accounts", "/team/work"),
    *("/team/agreement", "/team/disagreements", "/team/assignments"),
)
WRITTEN_OTHERWISE = {"ArrowLeft": "←", "ArrowRight": "→", "Escape": "Esc"}


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]
) -> Iterator[TestClient]:
    run = write_run(tmp_path_factory.mktemp("keys") / "run", [Group("QC-1")], demo_photos[:2])
    index = Index(run, audit_share=1.0)
    people = people_of(index.database, Clock())
    add(people, "主任", role="lead")
    review = Review("run", index, Prompting(load_missions(), load_prompts()))
    app = create_app(review, people=people)
    with TestClient(app, HERE, headers={"Origin": HERE}, follow_redirects=False) as client:
        yield client


def _keys(page: str) -> tuple[set[str], set[str]]:
    """Give the keys of a page, and those that its one list names."""
    (listed,) = re.findall(r'<template id="keys-template">.*?</template>', page, re.DOTALL)
    assert page.count('id="open-keys"') == 1
    bound = set(re.findall(r'data-key="([^"]+)"', page))
    named = set(re.findall("<kbd>([^<]+)</kbd>", listed)) | set(re.findall("…", listed))
    named |= set("5678") if "…" in named else set()
    return {WRITTEN_OTHERWISE.get(key, key) for key in bound}, named


@pytest.mark.parametrize("language", LANGUAGES)
def test_keys_are_listed_on_every_page(client: TestClient, language: str) -> None:
    client.cookies.clear()
    client.headers["Accept-Language"] = language
    signed_out = client.get("/sign-in").text
    assert _keys(signed_out) == ({"e", "?"}, {"e", "?", "Esc"})
    assert sign_in(client, "主任") == 303
    for address in PAGES:
        answer = client.get(address)
        assert answer.status_code == 200, address
        bound, named = _keys(answer.text)
        assert bound <= named, (address, bound - named)
        assert {"q", "e", "?"} <= bound, address
        assert load_words(language)["key_help"] in answer.text
    # Nothing is promised that a page without a list of groups does not do.
    assert _keys(client.get("/trail").text)[1] == {"q", "e", "?", "Esc"}
