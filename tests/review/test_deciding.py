"""Groups by keyboard, by mouse and on a phone, each key and click counted; and stray keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from shenhe.row_types import Evidence
from shenhe.rows.decisions import Decisions
from tests.review.runs import FAIL, PASS, Group, Served, served, write_run

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
KINDS = (
    "agree",
    "overrule",
    "agree",
    "reason",
    "agree",
    "comment",
    "undo",
    "agree",
    "two",
    "agree",
)
"""What is done with ten groups, one after the other."""
COSTS = {"agree": 1, "overrule": 1, "reason": 2, "two": 3, "undo": 1}
WRITTEN = "右下角看不清"
DOUBLE_TAP = 350
"""Longer than the two taps of a double tap are apart. Units: ms."""
OPENED = "input:not([type=checkbox]), textarea, select"
GO = "nbqeu"
"""Keys that lead to another page, or load this one again."""
NAMED = (
    *("Enter", "Tab", "Space", "Backspace", "Delete", "Insert", "Home", "End", "PageUp"),
    *("PageDown", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Escape", "CapsLock"),
    *("Pause", "ScrollLock", "ContextMenu", "Shift", "Control", "Alt", "Meta"),
    *(f"F{number}" for number in range(1, 13)),
)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    photo = tmp_path_factory.mktemp("photos") / "img-001.jpeg"
    Image.new("RGB", (64, 48), "#8a8f94").save(photo)
    # The second one contradicts its label, and is the first of the queue.
    groups = [Group(f"QC-20261101-{n:07d}", label="pass", p_pass=0.99) for n in range(2, 62)]
    groups.append(Group("QC-20261102-0000001", label="fail", evidence=Evidence(rules="a" * 16)))
    folder = tmp_path_factory.mktemp("deciding") / "run"
    return write_run(folder, groups, [photo])


@pytest.fixture(scope="module")
def server(run_dir: Path) -> Iterator[Served]:
    with served(run_dir, "--reviewer", "李工", "--audit-share", "0.2") as running:
        yield running


class Hand:
    """Presses keys, clicks or taps, and counts them; text is not counted."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def agree(self) -> None:
        self.press("a")

    def press(self, key: str) -> None:
        self.count += 1
        self.page.keyboard.press(key)

    def write(self, text: str) -> None:
        self.press("c")
        self.page.keyboard.type(text)
        self.press("Escape")


class Pointer(Hand):
    """Does with a mouse or a finger what the keys do."""

    def press(self, key: str) -> None:
        self.count += 1
        target = self.page.locator(f'[data-key="{key}"]')
        if self.page.evaluate("navigator.maxTouchPoints"):
            self.page.wait_for_timeout(DOUBLE_TAP)  # else it would be the second one of two
            target.tap()
        else:
            target.click()

    def write(self, text: str) -> None:
        self.press("c")
        self.page.keyboard.type(text)


def _decide(hand: Hand, kind: str, number: int) -> None:
    """Decide a group in one of the ways, and hold that to what it may cost."""

    def lead(act: Callable[[], None], to: str) -> None:
        with hand.page.expect_navigation(url=to, wait_until="domcontentloaded"):
            act()

    following = f"**/group/{number + 1}" if number < 61 else "**/group/1"
    if kind == "undo":
        lead(lambda: hand.press("2"), following)
        before = hand.count
        lead(lambda: hand.press("u"), f"**/group/{number}?told=undone*")
        assert hand.count - before == COSTS["undo"]
        lead(hand.agree, following)
        return
    before = hand.count
    if kind == "comment":
        hand.write(WRITTEN)
    for key in {"reason": "5", "two": "59"}.get(kind, ""):
        hand.press(key)
    last = hand.agree if kind == "agree" else lambda: hand.press("2")
    lead(last, following)
    texts = 3 if type(hand) is Hand else 2
    assert hand.count - before == COSTS.get(kind, texts), kind


WAYS = [("keyboard", 2), ("mouse", 22), ("phone", 42)]
"""How groups are decided, and the first one of twenty; the second ten are done as the first."""


@pytest.mark.parametrize(
    ("way", "first"),
    [
        *WAYS,
        *(pytest.param(way, first + 10, marks=pytest.mark.peers) for way, first in WAYS),
    ],
    ids=str,
)
def test_ten_groups(browser: Browser, server: Served, run_dir: Path, way: str, first: int) -> None:
    options: dict[str, Any] = PHONE if way == "phone" else {}
    context = browser.new_context(locale="zh-CN", base_url=server.url, **options)
    page = context.new_page()
    hand = Hand(page) if way == "keyboard" else Pointer(page)
    page.goto(f"/group/{first}")
    for number in range(first, first + 10):
        _decide(hand, KINDS[number % 10], number)
    context.close()
    decided = [d for d in Decisions(run_dir).trail(count=1000) if d.opinion and not d.undoes]
    said = {d.group_id: d.opinion for d in reversed(decided) if d.opinion}
    for number in range(first, first + 10):
        kind, opinion = KINDS[number % 10], said[f"QC-20261101-{number:07d}"]
        assert opinion.choice == (PASS if kind in ("agree", "undo") else FAIL)
        assert opinion.comment == (WRITTEN if kind == "comment" else "")
        assert opinion.faults == {
            "reason": ("挡风板 安装方向错误",),
            "two": ("挡风板 安装方向错误", "生锈"),
        }.get(kind, ())


def test_no_other_key_decides(browser: Browser, server: Served, run_dir: Path) -> None:
    context = browser.new_context(locale="zh-CN", base_url=server.url)
    cookie: Any = {"name": "reviewer", "value": quote("王工"), "url": server.url}
    context.add_cookies([cookie])
    page = context.new_page()
    page.goto("/audit")
    blind = page.locator(".begin").get_attribute("href") or ""
    before = len(Decisions(run_dir).trail(count=1000))
    deciding = ["/group/60?state=open", "/group/1?queue=labels", blind]
    for path in (*deciding, "/", "/?queue=labels", "/audit", "/trail", "/export", "/name"):
        page.goto(path)
        decides = "123a" if path in deciding else ""
        bound = page.evaluate(
            "[...document.querySelectorAll('[data-key]')].map(e => e.dataset.key)"
        )
        for key in (*NAMED, *(key for key in bound if len(key) == 1 and key not in decides + GO)):
            page.keyboard.press(key)
            if len(key) == 1:
                page.keyboard.press("Escape")  # what the key has opened, or gone into
        unbound = {chr(code) for code in range(33, 127)} - {*bound, *decides, *GO}
        page.keyboard.type("".join(sorted(unbound)))
        # None of them was swallowed by something that another one had opened.
        assert page.evaluate(f"!document.activeElement.matches('{OPENED}')")
        assert page.locator("dialog[open]").count() == 0
        assert page.url == server.url + path
        for key in GO:
            if key in bound:
                page.goto(path, wait_until="domcontentloaded")
                with page.expect_navigation(wait_until="domcontentloaded"):
                    page.keyboard.press(key)
    assert len(Decisions(run_dir).trail(count=1000)) == before
    context.close()


def test_reasons_in_the_list_are_searched_for(
    browser: Browser, server: Served, run_dir: Path
) -> None:
    context = browser.new_context(locale="zh-CN", base_url=server.url)
    page = context.new_page()
    page.goto("/group/1")
    page.keyboard.press("x")
    page.keyboard.type("全")
    expect(page.locator("#more .chip:visible")).to_have_count(1)
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Backspace")
    page.keyboard.type("没有这样的")
    expect(page.locator("#no-fault")).to_be_visible()
    page.keyboard.press("Enter")
    page.keyboard.press("2")  # typed into the search
    page.keyboard.press("Escape")
    expect(page.locator("#find-fault")).to_be_hidden()
    expect(page.locator("#chosen")).to_have_text(": 照片不全")
    # The draft is listed beside the queue, and leads back to its group.
    page.goto("/")
    page.click("#drafts summary")
    page.click("#drafts a")
    page.wait_for_url("**/group/1")
    expect(page.locator("#draft")).to_be_visible()
    page.click("label.chip:has([data-key='4'])")
    page.keyboard.press("2")
    page.wait_for_url(lambda url: not url.endswith("/group/1"))
    (decision,) = Decisions(run_dir).trail(count=1)
    assert decision.opinion is not None
    assert decision.opinion.faults == ("BBU设备 未按要求配备挡风板", "照片不全")
    page.goto("/")
    expect(page.locator("#drafts")).to_be_hidden()
    page.click("#recent summary")
    page.locator("#recent li", has_text="QC-20261102-0000001").locator("button").click()
    page.wait_for_url("**/group/1?told=undone*")
    (decision,) = Decisions(run_dir).trail(count=1)
    assert decision.undoes
    context.close()
