"""The pages of the service: words, keys, what may be seen, and handing in without a script."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from shenhe.languages import LANGUAGES
from shenhe.service import pages
from shenhe.service.jobs import JobResult
from shenhe.service.keys import KeyRing
from shenhe.service.limits import Limits
from shenhe.service.overview import PAGE, JobFilter, read_overview
from shenhe.service.parts import Service
from shenhe.service.refusal_pages import fill_refusals
from shenhe.web.words import load_words
from tests.conftest import MISSION
from tests.review.shown_words import check_words
from tests.service.apis import URL, client_of, end, form, make_service
from tests.service.handed_in import judged

PAGES = {"Accept": "text/html"}
BROWSER = PAGES | {"Origin": URL}
FOREIGN = "QC-\u2067<b>1"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make_service(tmp_path / "data", Limits(photos=3, free_bytes=0))


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with client_of(service) as client:
        client.headers = BROWSER
        client.follow_redirects = False
        yield client


def _hand_in(client: TestClient, photos: list[Path], group_id: str = "QC-1") -> str:
    answer = client.post("/groups", **form(photos, group_id))
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def _end_undecided(service: Service) -> None:
    (claimed,) = service.store.claim("test", 1)
    result = judged(claimed.job)
    meta = result.verdict.meta.model_copy(update={"why": ["evidence_missing", "timeout"]})
    update = {"verdict": None, "status": "undecided", "reason": "evidence_missing: 缺少: 电线"}
    verdict = result.verdict.model_copy(update=update | {"meta": meta})
    assert service.store.finish(claimed, JobResult(verdict, result.summary))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_pages_say(
    client: TestClient, service: Service, demo_photos: list[Path], tmp_path: Path, language: str
) -> None:
    client.cookies.set("language", language)
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(demo_photos[0].read_bytes()[:4000])
    texts = {"empty": client.get("/").text, "nothing": client.get("/nothing").text}
    for path in (
        "/groups/x",
        "/?state=failed",
        "/overview?before=1",
        "/groups/x/photo/1/small.jpg",
    ):
        texts[path] = client.get(path).text
    address = _hand_in(client, [*demo_photos[:2], cut])
    texts["queued"] = client.get(address).text
    _end_undecided(service)
    _hand_in(client, demo_photos[:2])
    texts["earlier version"] = client.get(address).text
    end(service.store)
    _hand_in(client, demo_photos[1:2], "QC-2")
    (claimed,) = service.store.claim("test", 1)
    texts["running"] = client.get("/").text
    service.store.fail(claimed, "its worker died 5 times")
    for job in service.store.list():
        texts[f"group {job.number}"] = client.get(f"/groups/{job.id}").text
    shutil.rmtree(service.submissions.inbox.folder)
    texts["photos deleted"] = client.get(address).text
    texts["full"] = client.get("/?mission=nothing").text + client.get("/").text
    for problem in ({"mission": "x"}, {"group_id": " a"}, {"lane": "fast"}):
        texts[str(problem)] = client.post("/groups", **form(demo_photos[:1], **problem)).text
    texts["too many"] = client.post("/groups", **form(demo_photos[:4])).text
    texts["no photo"] = client.post("/groups", **form([("a.jpg", b"text " * 99)])).text
    for page, text in texts.items():
        for one in text.split("<!doctype html>")[1:] or [f'<html lang="{language}">{text}']:
            check_words(page, one, language)
    gone = {"zh": "照片已按保留期限删除", "en": "deleted when its time was over"}[language]
    assert gone in texts["photos deleted"]
    limit = {"zh": "每组最多 3 张", "en": "at most 3 a group"}[language]
    assert limit in texts["too many"]
    reason = {"zh": "缺少必要内容", "en": "evidence missing"}[language]
    assert reason in texts["group 1"]


def test_words_are_there_in_both_languages_and_stand_in_one_file() -> None:
    chinese, english = (load_words(pages.PACKAGE, language) for language in LANGUAGES)
    assert chinese.keys() == english.keys()
    for name, sentence in chinese.items():
        named = [sorted(re.findall(r"\{\w+\}", text)) for text in (sentence, english[name])]
        assert named[0] == named[1], name
    folders = [Path(pages.__file__).parent, Path(pages.__file__).parents[1] / "web"]
    files = [file for folder in folders for file in (folder / "wording").iterdir()]
    counts = Counter(
        name for file in files for name in tomllib.loads(file.read_text(encoding="utf-8"))["zh"]
    )
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_refusal_of_a_hand_in_has_its_words() -> None:
    source = Path(pages.__file__).parent
    names = ("inbox", "multipart", "submissions", "receiving", "pressure", "access")
    texts = [(source / f"{name}.py").read_text(encoding="utf-8") for name in names]
    codes = {code for text in texts for code in re.findall(r'RefusedError\(\s*\d+, "(\w+)"', text)}
    assert len(codes) > 15
    programs = {"bad_lane", "unknown_field", "field_too_large", "not_utf8", "malformed_body"}
    programs |= {"bad_address", "unknown_host"}  # what no page of ours sends
    for language in LANGUAGES:
        sentences = fill_refusals(load_words(pages.PACKAGE, language), Limits())
        assert codes - sentences.keys() <= programs
        assert "60" in sentences["too_many_photos"]


def test_a_group_is_handed_in_and_read_without_a_script(
    client: TestClient, service: Service, demo_photos: list[Path]
) -> None:
    page = client.get("/").text
    assert 'action="/groups" enctype="multipart/form-data"' in page
    address = _hand_in(client, demo_photos[:2], FOREIGN.replace("\u2067", ""))
    page = client.get(address).text
    assert "http-equiv" in page
    assert "&lt;b&gt;1" in page
    assert "<b>1" not in page
    job = end(service.store)
    page = client.get(address).text
    assert "http-equiv" not in page
    assert "通过" in page
    assert job.result is not None
    for line in job.result.summary.per_image.values() if job.result.summary else ():
        assert line in page
    for name in re.findall(r'src="(/groups/[^"]+)"', page):
        picture = client.get(name)
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        again = client.get(name, headers={"If-None-Match": picture.headers["etag"]})
        assert again.status_code == 304
    photo = f"{address}/photo/1/small.jpg"
    for gone in (f"{photo}?of=x", f"{address}/photo/3/small.jpg", f"{address}/photo/1/huge.jpg"):
        assert client.get(gone).status_code in (400, 404)
    assert service.store.list()[0].new.lane == "interactive"


def test_a_browser_signs_in_with_a_key(service: Service, demo_photos: list[Path]) -> None:
    ring = KeyRing(service.store.database, "管理 key")
    keys = {scope: ring.add(scope, [scope]) for scope in ("submit", "read")}
    with client_of(service, ring.find_caller) as client:
        client.follow_redirects = False
        sent = client.get("/?state=done", headers=PAGES)
        assert (sent.status_code, sent.headers["location"]) == (
            303,
            "/sign-in?next=%2F%3Fstate%3Ddone",
        )
        assert client.get("/v1/groups", headers=PAGES).status_code == 401
        assert client.get("/sign-in").status_code == 200
        (style,) = re.findall(r'href="(/static/\w+/sheets.css)"', client.get("/sign-in").text)
        assert client.get(style).status_code == 200
        for wrong in ("", "x" * 300, keys["read"] + "x"):
            answer = client.post("/sign-in", data={"key": wrong}, headers=BROWSER)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers
        foreign = {"Origin": "https://evil.example"}
        answer = client.post("/sign-in", data={"key": keys["read"]}, headers=foreign)
        assert answer.status_code == 403
        answer = client.post(
            "/sign-in", data={"key": "管理 key", "next": "//evil.example"}, headers=BROWSER
        )
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
        assert "shenhe watch" in client.get("/", headers=PAGES).text
        arguments = form(demo_photos[:1])
        # The cookie alone does not write: what a page of this site sends has its Origin.
        assert client.post("/v1/groups", **arguments).status_code == 401
        assert client.post("/v1/groups", **arguments, headers={"Origin": URL}).status_code == 202
        answer = client.post("/v1/groups", **arguments, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert client.post("/sign-out", headers=BROWSER).status_code == 303
        assert client.get("/", headers=PAGES).status_code == 303
        places = {"read": ("overview", "hand-in"), "submit": ("hand-in", "overview")}
        for scope, (shown, hidden) in places.items():
            client.post("/sign-in", data={"key": keys[scope]}, headers=BROWSER)
            page = client.get("/", headers=PAGES).text
            assert f'id="{shown}"' in page
            assert f'id="{hidden}"' not in page
            assert "shenhe watch" not in page
            status = client.get("/overview", headers=PAGES).status_code
            assert status == (200 if scope == "read" else 403)
        behind_tls = {"Origin": "https://127.0.0.1:8770"}
        answer = client.post("/sign-in", data={"key": keys["read"]}, headers=behind_tls)
        assert "Secure" in answer.headers["set-cookie"]


def test_without_keys_nobody_signs_in(client: TestClient) -> None:
    answer = client.get("/sign-in?next=/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    page = client.get("/")
    assert "sign-out" not in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<style| style=| on\w+=", page.text)
    scripts = re.findall(r"<script([^>]*)>([^<]*)", page.text)
    assert all("src=" in names or "application/json" in names for names, _ in scripts)


def test_the_overview_counts_filters_and_turns_its_pages(
    client: TestClient, service: Service, demo_photos: list[Path]
) -> None:
    for number in range(PAGE + 2):
        _hand_in(client, demo_photos[:1], f"QC-{number}")
    assert read_overview(service.store, JobFilter()).pace.seconds_left is None
    for _ in range(3):
        end(service.store)
    overview = read_overview(service.store, JobFilter())
    assert (overview.counts["queued"], overview.counts["done"]) == (PAGE - 1, 3)
    assert [job.number for job in overview.jobs] == list(range(PAGE + 2, 2, -1))
    assert overview.pace.ended == 3
    assert overview.pace.seconds_left is not None
    older = read_overview(service.store, JobFilter(before=overview.older))
    assert ([job.number for job in older.jobs], older.older) == ([2, 1], 0)
    page = client.get("/?state=done").text
    listed = re.findall(r"<b><bdi>(QC-\d+)</bdi></b>", page)
    assert listed == ["QC-2", "QC-1", "QC-0"]
    assert client.get(f"/?mission={MISSION}x").text.count("<li>") == 0
    for wrong in ("state=x", "before=-1", "before=" + "9" * 30, "mission=%00"):
        assert client.get(f"/?{wrong}").status_code in (200, 400)
