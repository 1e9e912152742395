"""Pages that stay open: what is selected, what others decide, the theme, the times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.review.runs import Served, served, thirty, write_run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Iterator[Served]:
    folder = write_run(tmp_path_factory.mktemp("open") / "run", thirty(), demo_photos[:2])
    with served(folder, "--reviewer", "李工") as running:
        yield running


@pytest.fixture
def page(browser: Browser, server: Served) -> Iterator[Page]:
    context = browser.new_context(
        locale="zh-CN", base_url=server.url, timezone_id="Asia/Shanghai", color_scheme="light"
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.clock.install()
    yield page
    context.close()
    assert problems == []


def test_selecting_decides_nothing(page: Page) -> None:
    page.goto("/")
    boxes, picked = page.locator(".pick input"), page.locator("#picked")
    boxes.nth(1).click()
    boxes.nth(4).click(modifiers=["Shift"])
    expect(picked).to_have_text("已选 4 组")
    page.locator(".queue .row").first.focus()
    page.keyboard.press("x")
    expect(picked).to_have_text("已选 5 组")
    page.locator("#pick-all input").check()
    expect(picked).to_have_text("已选 30 组")
    page.locator("#pick-all input").uncheck()
    expect(picked).to_have_text("")
    boxes.nth(6).check()
    page.locator("h1").click()
    for key in ("1", "2", "3", "a", "Enter", " "):
        page.keyboard.press(key)
    page.locator("#picking button").click()
    page.wait_for_url("**/bulk?pick=7")
    page.locator("h1").click()
    for key in ("1", "2", "3", "a", "Enter"):  # only its buttons decide here
        page.keyboard.press(key)
    page.locator("input[name=comment]").press("Enter")
    expect(page.locator("#taken")).to_have_text("1")
    assert page.locator(".look .badge.choice").count() == 0
    page.locator("#bulk button.undecided").dblclick()
    page.wait_for_url("**/?told=bulk_decided&about=1")
    expect(page.locator(".told[role=status]")).to_have_text("已判 1 组。")
    expect(page.locator("#counts span")).to_have_text("已审 1 / 30 组，改判 0 组")
    page.go_back()
    expect(page.locator("#taken")).to_have_text("0")  # it is decided, and not ticked again


def test_what_others_decide_appears_by_itself(page: Page, browser: Browser, server: Served) -> None:
    other = browser.new_context(locale="zh-CN", base_url=server.url).new_page()
    page.goto("/")
    page.locator(".pick input").nth(1).check()
    other.goto("/group/4")
    other.keyboard.press("2")
    other.wait_for_url("**/group/5")
    page.clock.run_for(7_000)
    row = page.locator("[data-number='4']")
    expect(row.locator("[data-by]")).to_have_text("\u2068李工\u2069 刚刚判为 不通过")
    expect(row.locator("[data-choice]")).to_have_text("不通过")
    expect(page.locator("#counts span")).to_have_text("已审 2 / 30 组，改判 1 组")
    expect(page.locator("#picked")).to_have_text("已选 1 组")
    # The page of a group tells of it, and keeps what was typed.
    page.goto("/group/9")
    page.fill("input[name=comment]", "看到一半")
    page.clock.run_for(7_000)
    expect(page.locator("#changed")).to_be_hidden()
    other.goto("/group/9")
    other.keyboard.press("1")
    other.wait_for_url("**/group/10")
    page.clock.run_for(7_000)
    expect(page.locator("#changed span")).to_have_text("\u2068李工\u2069 刚刚判为 通过")
    expect(page.locator("input[name=comment]")).to_have_value("看到一半")
    # The queue says in which groups this browser has kept a draft.
    page.goto("/?state=all")
    expect(page.locator("[data-number='9'] [data-draft]")).to_be_visible()
    expect(page.locator("[data-number='10'] [data-draft]")).to_be_hidden()
    other.context.close()


def test_theme_and_times_are_those_of_the_reader(page: Page) -> None:
    page.goto("/")
    paper = "getComputedStyle(document.body).backgroundColor"
    light, button = page.evaluate(paper), page.locator(".theme button:not([hidden])")
    expect(button).to_contain_text("跟随系统")
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(paper)
    for name, colour in (("浅色", light), ("深色", dark)):
        with page.expect_response("**/theme"):
            button.click()
        expect(button).to_contain_text(name)
        assert page.evaluate(paper) == colour
    page.emulate_media(color_scheme="light")
    page.goto("/group/2")
    assert page.evaluate(paper) == dark != light
    page.keyboard.press("3")
    page.wait_for_url("**/group/3")
    page.goto("/trail")
    time = page.locator("time").first
    utc = time.get_attribute("title") or ""
    assert re.fullmatch(r"20\d\d-\d\d-\d\d (\d\d):\d\d:\d\d UTC", utc)
    hour = (int(utc[11:13]) + 8) % 24
    assert re.search(rf"\b{hour:02d}:{utc[14:16]}$", time.inner_text())
