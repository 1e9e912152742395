"""The page of a watch in a browser: words of both languages, no script, no network, any width."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from shenhe.promise.audit_rows import read_looks
from shenhe.promise.watch_page import write_watch_page
from shenhe.promise.watching import watch_audits
from shenhe.values import FAIL, PASS
from tests.promise.audited_runs import Group, draw_week, write_run

HOSTILE = "<script>alert(1)</script>\u202eX"


def _page(browser: Browser, path: Path, width: int = 1280) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    return page


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of each state."""
    folder = tmp_path_factory.mktemp("pages")
    weeks = {
        "正常": [0.0, 0.0],
        "加严": [0.0, 0.28],
        "停用": [0.0, 0.6, 0.6],
    }
    paths = {}
    for state, rates in weeks.items():
        runs = [
            write_run(folder / state / str(week), draw_week(week, rate, 150), week, share=1.0)
            for week, rate in enumerate(rates)
        ]
        paths[state] = folder / f"{state}.html"
        write_watch_page(paths[state], watch_audits(read_looks(runs)))
    run = write_run(folder / "未盲审", [Group("QC-1", PASS), Group("QC-2", FAIL)], share=None)
    paths["未盲审"] = folder / "未盲审.html"
    write_watch_page(paths["未盲审"], watch_audits(read_looks([run])))
    return paths


@pytest.mark.parametrize(
    ("state", "english"),
    [("正常", "normal"), ("加严", "tightened"), ("停用", "stopped"), ("未盲审", "not audited")],
)
def test_the_light_has_a_word_in_both_languages(
    browser: Browser, pages: dict[str, Path], state: str, english: str
) -> None:
    page = _page(browser, pages[state])
    assert page.locator(".light").inner_text().split("\n") == [state, english]
    sentence = page.locator(".sentence").inner_text()
    assert state in sentence or "无法判断" in sentence
    assert page.locator(".answer p[lang=en]").first.inner_text()
    page.close()


def test_the_sentences_of_a_manager(browser: Browser, pages: dict[str, Path]) -> None:
    page = _page(browser, pages["停用"])
    text = page.locator(".answer").inner_text()
    for words in ("每 100 个不合格约放过", "放行的 1,000 组里约", "of 100 bad groups about"):
        assert words in text
    assert "承诺 promised" in page.locator("thead").inner_text()
    assert page.locator("svg title").count() == 3
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_any_width(browser: Browser, pages: dict[str, Path], width: int) -> None:
    for path in pages.values():
        page = _page(browser, path, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()


def test_it_can_be_read_by_everybody(browser: Browser, pages: dict[str, Path]) -> None:
    for path in pages.values():
        page = _page(browser, path)
        results = Axe().run(page)
        assert not results.violations_count, results.generate_report()
        page.close()


def test_names_are_shown_as_they_are_and_nothing_is_loaded(
    browser: Browser, tmp_path: Path
) -> None:
    groups = [Group("QC-1", PASS, PASS, mission=HOSTILE), Group("QC-2", PASS, FAIL)]
    path = tmp_path / "page.html"
    run = write_run(tmp_path / "run", groups, share=1.0)
    write_watch_page(path, watch_audits(read_looks([run])))
    page = browser.new_page()
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(path.as_uri())
    assert loaded == [path.as_uri()]
    assert HOSTILE in (page.locator("table").text_content() or "")
    assert page.locator("script").count() == 0
    page.close()
