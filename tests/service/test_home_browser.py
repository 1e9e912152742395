"""The pages of the service in Chromium, desktop and phone: from a drop to the verdict."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageEnhance
from playwright.sync_api import Browser, Page, expect

from tests.browsers import watched_page
from tests.conftest import MISSION
from tests.review.shown_words import check_words
from tests.review.test_accessible import CHEAP, SERIOUS
from tests.service.test_served import GROUP, Served, serving

OTHER = "BBU接地线检查"
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "locale": "en-GB",
}
DESK: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}, "locale": "zh-CN"}
VERDICT_MS = 30_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, "--model", "demo", "--adapters", "demo") as served:
        yield served


@contextmanager
def _window(browser: Browser, served: Served, **how: Any) -> Iterator[Page]:
    with watched_page(browser.new_context(base_url=served.url, **how)) as page:
        page.set_default_timeout(10_000)
        yield page


def _drop(page: Page, *paths: Path) -> None:
    """Drop files and folders as a person does, out of a window beside the browser."""
    box = page.locator("#drop").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    at = {"x": box["x"] + 20, "y": box["y"] - 5, "data": data}  # beside the frame, as it happens
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **at})


def _check(page: Page, name: str, language: str) -> None:
    """Read every word, and look at it by axe in both themes."""
    check_words(name, page.content().replace(' class="scripted"', ""), language)
    page.evaluate(Axe().axe_script)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert page.evaluate(SERIOUS, CHEAP) == [], (name, theme)


@pytest.fixture
def dark_group(tmp_path: Path) -> Path:
    """A group of which one photo is dark, with a note that is no photo."""
    folder = Path(shutil.copytree(GROUP, tmp_path / "QC-20261113-0000099"))
    first = sorted(folder.iterdir())[0]
    with Image.open(first) as photo:
        ImageEnhance.Brightness(photo).enhance(0.15).save(folder / "img-000.jpeg")
    (folder / "说明.txt").write_text("备注", encoding="utf-8")
    return folder


def test_a_dropped_folder_becomes_a_verdict(
    browser: Browser, served: Served, dark_group: Path
) -> None:
    with _window(browser, served, **DESK) as page:
        page.goto("/")
        _check(page, "home", "zh")
        _drop(page, dark_group)
        expect(page.locator("#group")).to_have_value("QC-20261113-0000099")
        expect(page.locator("#passed-over")).to_contain_text("1 个文件不是照片")
        page.click("#send")  # a mission is missing: nothing is sent
        assert page.locator(".sending").count() == 0
        page.select_option("#mission", MISSION)
        page.click("#send")
        page.fill("#group", "QC-1")
        page.click("#send")  # the photos are on their way already
        expect(page.locator("#passed-over")).to_have_text("请先选择照片")
        # Facts come at once, beside the photo that they are about.
        expect(page.locator(".holder figure").first.locator("[data-mark=dark]")).to_have_text(
            "过暗"
        )
        verdict = page.locator(".holder .verdict")
        expect(verdict).to_be_visible(timeout=VERDICT_MS)
        photos = len(list(dark_group.iterdir())) - 1
        assert page.locator(".holder figure .line").count() in (0, photos)
        expect(page.locator("#overview .count").nth(2)).to_contain_text("1")
        assert page.locator(".holder figure b").all_inner_texts()[0] == "图片_1"
        assert page.locator("#command-review").inner_text().startswith("shenhe review /")
        _check(page, "verdict", "zh")
        page.click(".holder .about a")
        page.wait_for_url("**/groups/*")
        assert page.locator("main > .job figure").count() == photos
        _check(page, "group", "zh")


def test_a_phone_takes_photos_one_by_one(browser: Browser, served: Served) -> None:
    photos = sorted(GROUP.iterdir())
    with _window(browser, served, **PHONE) as page:
        page.goto("/")
        camera = page.locator("#camera")
        assert camera.get_attribute("capture") == "environment"
        expect(page.locator("[data-opens=camera]")).to_be_visible()
        expect(page.locator("[data-opens=folder]")).to_be_hidden()
        for count, photo in enumerate(photos[:2], 1):
            with page.expect_file_chooser() as chooser:
                page.tap("[data-opens=camera]")
            chooser.value.set_files(photo)
            expect(page.locator("#chosen li")).to_contain_text(f"{count} photos")
        page.select_option("#mission", MISSION)
        page.fill("#group", "QC-手机-1")
        page.tap("#send")
        expect(page.locator(".holder .verdict")).to_be_visible(timeout=VERDICT_MS)
        assert page.locator(".holder figure").count() == 2
        expect(page.locator("#announced")).to_contain_text("QC-手机-1")
        _check(page, "phone", "en")


def test_a_dropped_tree_is_a_job_a_group(browser: Browser, served: Served, tmp_path: Path) -> None:
    photos = sorted(GROUP.iterdir())
    folders = (
        *(f"{MISSION}/审核通过/QC-7", f"{MISSION}/审核不通过/QC-7"),
        *(f"{OTHER}/QC-7", f"{OTHER}/.hidden"),
    )
    for folder in folders:
        (tmp_path / "tree" / folder).mkdir(parents=True)
        for number, photo in enumerate(photos[:2]):
            shutil.copy(photo, tmp_path / "tree" / folder / f"img-{number + 9}.jpeg")
    with _window(browser, served, **DESK) as page:
        page.goto("/")
        _drop(page, tmp_path / "tree")
        rows = page.locator("#chosen li")
        expect(rows).to_have_count(3)
        expect(page.locator("#group")).to_be_hidden()
        page.click("#send")  # two of one mission have the same id
        assert page.locator(".sending").count() == 0
        rows.filter(has_text=MISSION).nth(1).locator("input").fill("QC-8")
        page.click("#send")
        verdicts = page.locator(".holder .verdict")
        expect(verdicts).to_have_count(3, timeout=VERDICT_MS)
        expect(page.locator(".holder figure").first).to_be_hidden()
        status, listed = served.ask("/v1/groups?limit=200")
        assert status == 200
        names = {(job["mission"], job["group_id"]) for job in listed["groups"]}
        assert {(MISSION, "QC-7"), (MISSION, "QC-8"), (OTHER, "QC-7")} <= names
        group = next(job for job in listed["groups"] if job["group_id"] == "QC-8")
        names_of = [facts["name"] for facts in group["facts"].values()]
        assert names_of == ["img-9.jpeg", "img-10.jpeg"]


def test_what_is_refused_or_lost_is_told_and_can_be_sent_again(
    browser: Browser, served: Served, tmp_path: Path
) -> None:
    bad = tmp_path / "img-1.jpg"
    bad.write_text("no photo " * 99, encoding="utf-8")
    with _window(browser, served, **DESK) as page:
        page.goto("/")
        page.set_input_files("#photos", [bad])
        page.select_option("#mission", MISSION)
        page.fill("#group", "QC-坏")
        page.click("#send")
        problem = page.locator(".sending .problem")
        expect(problem).to_contain_text("不是能读的照片")
        expect(page.locator(".sending")).to_contain_text("img-1.jpg：")  # in the page's language
        _check(page, "refused", "zh")
        page.click(".sending button")
        expect(problem).to_contain_text("不是能读的照片")
        page.context.set_offline(True)
        page.set_input_files("#photos", sorted(GROUP.iterdir())[:1])
        page.fill("#group", "QC-断网")
        page.click("#send")
        expect(page.locator(".told-of").first).to_contain_text("连接中断")
        page.context.set_offline(False)
        expect(page.locator(".holder .verdict")).to_be_visible(timeout=VERDICT_MS)


def test_the_page_of_a_group_follows_it_also_without_events(
    browser: Browser, served: Served
) -> None:
    _, shown = served.submit("QC-直接打开", sorted(GROUP.iterdir())[:2])
    with _window(browser, served, **DESK) as page:
        page.route("**/v1/events", lambda route: route.abort())
        page.goto(shown["url"].removeprefix("/v1"))
        expect(page.locator("main > .job .verdict")).to_be_visible(timeout=VERDICT_MS)
        assert page.locator("figure .line").count() == 2
        assert page.locator("h1").inner_text() == "QC-直接打开"


def test_it_works_without_a_script(browser: Browser, served: Served) -> None:
    with _window(browser, served, **DESK, java_script_enabled=False) as page:
        page.goto("/")
        page.select_option("#mission", MISSION)
        page.fill("#group", "QC-无脚本")
        page.set_input_files("#photos", sorted(GROUP.iterdir())[:1])
        page.click("#send")
        page.wait_for_url("**/groups/*")
        for _ in range(60):  # the page does so by itself, every five seconds
            if page.locator(".verdict").is_visible():
                break
            page.wait_for_timeout(200)
            page.reload()
        expect(page.locator(".verdict")).to_be_visible()
        check_words("without a script", page.content(), "zh")
