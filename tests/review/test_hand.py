"""Slips of the hand in a real browser: they decide nothing, and no input is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from shenhe.review.index import Filters, Index
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions
from tests.review.runs import PASS, Served, served, thirty, write_captions, write_run

FIELDS = (
    "input[name=comment]",
    "textarea[name=line-图片_1]",
)
DECISION_KEYS = ("1", "2", "3", "a")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    folder = write_run(tmp_path_factory.mktemp("hand") / "run", thirty(), demo_photos[:2])
    write_captions(folder, demo_photos[:1])
    return folder


@pytest.fixture(scope="module")
def server(run_dir: Path) -> Iterator[Served]:
    with served(run_dir, "--reviewer", "李工") as running:
        yield running


@pytest.fixture(scope="module")
def window(browser: Browser, server: Served) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN", base_url=server.url)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(window: Page) -> Iterator[Page]:
    problems: list[str] = []

    def note(error: object) -> None:
        problems.append(str(error))

    window.on("pageerror", note)
    yield window
    window.remove_listener("pageerror", note)
    assert problems == []


@pytest.fixture
def decided(run_dir: Path, page: Page) -> Iterator[Callable[[], list[Decision]]]:
    """Lists the decisions since the test began, the last one first."""
    before = len(Decisions(run_dir).trail(count=1000))
    sent: list[Request] = []

    def note(request: Request) -> None:
        sent.append(request)

    page.on("request", note)

    def since() -> list[Decision]:
        page.evaluate("0")  # the requests of a key have been sent after this
        for request in sent:
            if request.method == "POST":
                request.response()
        trail = Decisions(run_dir).trail(count=1000)
        return trail[: len(trail) - before]

    yield since
    page.remove_listener("request", note)


Decided = Callable[[], list[Decision]]


def _at(page: Page, number: int, query: str = "") -> None:
    page.goto(f"/group/{number}{query}")
    page.evaluate("for (const d of document.querySelectorAll('details:not(.more)')) d.open = true")


def _discard(page: Page) -> None:
    with page.expect_navigation():
        page.click("#discard")


def test_enter_in_a_field_saves_nothing(page: Page, decided: Decided) -> None:
    _at(page, 1)
    for field in FIELDS:
        page.focus(field)
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
    page.fill(FIELDS[0], "看过，没有问题")
    for key in ("Enter", "Enter", "Shift+Enter", "NumpadEnter"):
        page.locator(FIELDS[0]).press(key)
    assert decided() == []
    expect(page.locator(FIELDS[0])).to_have_value("看过，没有问题")
    assert page.url.endswith("/group/1")
    _discard(page)


def test_fields_keep_the_keys_of_a_decision(page: Page, decided: Decided) -> None:
    _at(page, 1)
    for field in FIELDS:
        page.focus(field)
        for key in DECISION_KEYS:
            page.keyboard.press(key)
    assert decided() == []
    _discard(page)


def test_shortcuts_input_methods_and_held_keys_decide_nothing(page: Page, decided: Decided) -> None:
    _at(page, 1)
    for key in DECISION_KEYS:
        for modifier in ("Control", "Alt", "Meta"):
            page.keyboard.press(f"{modifier}+{key}")
    devtools = page.context.new_cdp_session(page)
    press: dict[str, Any] = {"type": "rawKeyDown", "key": "1", "code": "Digit1"}
    devtools.send("Input.dispatchKeyEvent", {**press, "windowsVirtualKeyCode": 229})
    devtools.send("Input.dispatchKeyEvent", {**press, "autoRepeat": True})
    page.evaluate(
        "document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key: '1', isComposing: true, bubbles: true}))"
    )
    # Numbers pick a candidate of an input method.
    page.focus(FIELDS[0])
    devtools.send(
        "Input.imeSetComposition", {"text": "luoshuan", "selectionStart": 8, "selectionEnd": 8}
    )
    devtools.send(
        "Input.dispatchKeyEvent", {**press, "key": "Process", "windowsVirtualKeyCode": 229}
    )
    devtools.send("Input.insertText", {"text": "螺栓"})
    devtools.send("Input.dispatchKeyEvent", {**press, "key": "Enter", "windowsVirtualKeyCode": 229})
    assert decided() == []
    expect(page.locator(FIELDS[0])).to_have_value("螺栓")
    _discard(page)
    # A key that is held down decides only the group on which it was pressed.
    page.keyboard.down("3")
    page.wait_for_url("**/group/2")
    for _ in range(3):
        page.keyboard.down("3")
    page.keyboard.up("3")
    assert [decision.opinion and decision.opinion.choice for decision in decided()] == ["待定"]
    assert page.url.endswith("/group/2")


def test_a_second_click_decides_nothing(page: Page, decided: Decided) -> None:
    _at(page, 10)
    page.dblclick("button.fail")
    page.wait_for_url("**/group/11")
    page.click("button.fail", click_count=2)  # the first of them decides, this page is group 11
    page.wait_for_url("**/group/12")
    box = page.locator("button.fail").bounding_box()
    assert box is not None
    at = {"x": box["x"] + 9, "y": box["y"] + 9, "button": "left", "clickCount": 2}
    devtools = page.context.new_cdp_session(page)
    for kind in ("mousePressed", "mouseReleased"):
        devtools.send("Input.dispatchMouseEvent", {"type": kind, **at})
    assert page.url.endswith("/group/12")
    assert len(decided()) == 2


def test_a_focused_button_is_pressed_by_the_keyboard_once(page: Page, decided: Decided) -> None:
    _at(page, 13)
    page.focus("#decide button.undecided")
    page.keyboard.press("Space")
    page.wait_for_url("**/group/14")
    page.focus("#decide button.undecided")
    for _ in range(4):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.wait_for_url("**/group/15")
    # Enter on a link with the focus follows it.
    page.focus("a[rel=next]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/group/16")
    assert len(decided()) == 2


def test_back_forward_and_reload_decide_nothing(page: Page, decided: Decided) -> None:
    _at(page, 17)
    page.keyboard.press("3")
    page.wait_for_url("**/group/18")
    page.go_back()
    page.reload()
    page.go_forward()
    page.reload()
    with page.expect_navigation():
        # As from the back/forward cache of a browser.
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    # The page of a conflict answers a form: a reload sends the form again, with the same answer.
    _at(page, 17)
    page.evaluate("document.querySelector('[name=version]').value = 0")
    page.keyboard.press("2")
    expect(page.locator(".told[role=alert]").last).to_contain_text("刚刚由 李工 判为 待定")
    page.reload()
    page.go_back()
    assert len(decided()) == 1


@pytest.mark.parametrize("source", ["comment", "fault", "line"])
def test_a_pass_with_a_fault_is_asked_back(page: Page, decided: Decided, source: str) -> None:
    _at(page, 20)
    if source == "fault":
        page.check("input[name=fault-生锈]", force=True)
    else:
        field = {"comment": FIELDS[0], "line": FIELDS[1]}[source]
        page.fill(field, "BBU安装螺丝/生锈")
    page.locator("h1").click()
    page.keyboard.press("1")
    expect(page.locator("#ask")).to_contain_text("生锈")
    page.keyboard.press("1")
    page.keyboard.press("a")
    page.keyboard.press("Enter")  # the answer that has the focus is "back"
    expect(page.locator("#ask")).to_be_hidden()
    page.keyboard.press("a")
    expect(page.locator("#ask")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    assert decided() == []
    page.keyboard.press("1")
    page.click("#ask-pass")
    page.wait_for_url(lambda url: not url.endswith("/group/20"))
    (decision,) = decided()
    assert decision.opinion is not None
    assert decision.opinion.choice == PASS


def test_without_the_script_a_decision_is_a_click_and_asked_back_too(
    browser: Browser, server: Served, decided: Decided
) -> None:
    context = browser.new_context(locale="en-GB", base_url=server.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/group/22")
    page.fill(FIELDS[0], "未拧紧")
    page.locator(FIELDS[0]).press("Enter")
    assert decided() == []
    page.click("button.pass")
    expect(page.locator("#decide .told")).to_contain_text("yet there is: 未拧紧")
    page.locator(FIELDS[0]).press("Enter")
    page.click("button.pass")
    expect(page.locator(FIELDS[0])).to_have_value("未拧紧")
    assert decided() == []
    page.click("#decide .told button")
    page.wait_for_url("**/group/23")
    assert len(decided()) == 1
    context.close()


def test_what_is_typed_is_kept_until_it_is_saved(page: Page, decided: Decided) -> None:
    _at(page, 24, "?mission=挡风板安装检查")
    page.fill(FIELDS[0], "看着像是“松”的")
    page.fill(FIELDS[1], "螺丝/待看")
    page.keyboard.press("Escape")
    page.keyboard.press("8")
    page.keyboard.press("x")
    page.keyboard.type("其他")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.locator("h1").click()
    for key, url in (("n", "**/group/25**"), ("b", "**/group/24**"), ("e", "**/group/24**")):
        with page.expect_navigation(url=url):
            page.keyboard.press(key)
    page.reload()
    with page.expect_navigation():
        page.keyboard.press("q")
    assert "mission=" in page.url
    page.goto("/group/24")
    for field, value in ((FIELDS[0], "看着像是“松”的"), (FIELDS[1], "螺丝/待看")):
        expect(page.locator(field)).to_have_value(value)
    for field in ("[name=fault-复接]", "[name=fault-其他]"):
        expect(page.locator(field)).to_be_checked()
    expect(page.locator("#chosen")).to_have_text(": 其他")
    expect(page.locator("#draft")).to_be_visible()
    assert decided() == []
    # The page of a conflict keeps the draft, and so do pages visited after it.
    page.evaluate("document.querySelector('[name=version]').value = 7")
    page.keyboard.press("2")
    expect(page.locator(".told[role=alert]").last).to_contain_text("taken back")
    page.wait_for_load_state()
    page.keyboard.press("n")
    page.wait_for_url("**/group/25**")
    page.goto("/group/24")
    expect(page.locator(FIELDS[0])).to_have_value("看着像是“松”的")
    page.keyboard.press("2")
    page.wait_for_url("**/group/25**")
    page.goto("/group/24")
    expect(page.locator("#draft")).to_be_hidden()
    assert page.evaluate("Object.keys(localStorage).length") == 0
    (decision,) = decided()
    assert decision.opinion is not None
    assert decision.opinion.comment == "看着像是“松”的"
    assert decision.opinion.faults == ("复接", "其他")
    assert decision.opinion.lines == {"图片_1": "螺丝/待看"}
    # Another draft, which is discarded.
    page.fill(FIELDS[0], "别的")
    _discard(page)
    expect(page.locator(FIELDS[0])).to_have_value("看着像是“松”的")
    with page.expect_navigation():
        page.keyboard.press("e")


def test_undo_keeps_the_filter(page: Page, decided: Decided) -> None:
    _at(page, 26, "?verdict=通过&text=QC-2026")
    page.keyboard.press("2")
    page.wait_for_url("**/group/27?verdict=*&text=QC-2026")
    page.keyboard.press("u")
    page.wait_for_url("**/group/26?verdict=*&text=QC-2026&told=undone**")
    assert page.locator("a[rel=next]").get_attribute("href") == (
        "/group/27?verdict=%E9%80%9A%E8%BF%87&text=QC-2026"
    )
    page.goto("/group/28?state=overruled")
    page.keyboard.press("u")  # all that he has decided before, one after the other
    page.wait_for_url("**state=overruled&told=undone**")


@pytest.mark.parametrize("size", [(1280, 860), (390, 844)], ids=["desk", "phone"])
def test_the_keys_are_told_on_the_screen(
    page: Page, decided: Decided, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for path in ("/group/29", "/"):
        page.goto(path)
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.keyboard.press("?")
        box = page.locator("#keys").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= size[0]
        assert box["y"] + box["height"] <= size[1]
        expect(page.locator("#keys kbd").first).to_be_visible()
        for key in DECISION_KEYS:
            page.keyboard.press(key)
        page.keyboard.press("Escape")
        expect(page.locator("#keys")).to_be_hidden()
        page.keyboard.press("?")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_hidden()
        page.click("#open-keys")
        page.click("#keys [data-close]")
        expect(page.locator("#open-keys")).to_be_focused()
    assert decided() == []


def test_a_swipe_decides_nothing(browser: Browser, server: Served, decided: Decided) -> None:
    context = browser.new_context(
        base_url=server.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto("/group/30")
    devtools = context.new_cdp_session(page)
    for y in (300, 760, 800):
        for start, end in ((350, 20), (20, 350)):
            steps = [{"x": start + (end - start) * step / 5, "y": y} for step in range(6)]
            for kind, points in (
                ("touchStart", steps[:1]),
                *(("touchMove", [step]) for step in steps[1:]),
                ("touchEnd", []),
            ):
                devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_load_state("networkidle")
    assert decided() == []
    context.close()


def test_overruled_are_those_that_the_model_had_decided(run_dir: Path, page: Page) -> None:
    index = Index(run_dir)
    undecided = index.page(Filters(verdict="undecided"))[0]
    before = index.progress(Filters())
    page.goto(f"/group/{undecided.number}")
    page.keyboard.press("2")
    page.wait_for_url(lambda url: f"/group/{undecided.number}" not in url)
    after = index.progress(Filters())
    assert after.decided >= before.decided
    assert after.overruled == before.overruled
    page.goto(f"/group/{undecided.number}")
    expect(page.locator("#current")).to_be_visible()
    expect(page.locator("#current.overruled, .history .overruled")).to_have_count(0)
