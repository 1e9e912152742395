"""From group to group without loading a document: the page is another one, and nothing stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect

from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions
from tests.browsers import watched_page
from tests.review.runs import Served, served, thirty, write_run

COMMENT = "input[name=comment]"
REVIEWER = "李工"
COLLEAGUE = "王工"


@pytest.fixture
def colleague(browser: Browser, server: Served) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN", base_url=server.url)
    context.add_cookies([{"name": "reviewer", "value": "%E7%8E%8B%E5%B7%A5", "url": server.url}])
    with watched_page(context) as page:
        yield page


def _open(page: Page, address: str) -> None:
    page.goto(address)
    page.evaluate("window.isSame = true")


def _is_same_document(page: Page) -> bool:
    return bool(page.evaluate("window.isSame === true"))


def _move(page: Page, key: str, address: str) -> None:
    page.keyboard.press(key)
    page.wait_for_url(f"**{address}")


def _name(page: Page) -> str:
    """Give the group that a page shows."""
    return page.locator("h1 bdi").first.inner_text()


def _decisions(run_dir: Path) -> list[Decision]:
    return Decisions(run_dir).trail(count=100)


@contextmanager
def _noted(page: Page) -> Iterator[list[Request]]:
    """Note what a page asks for."""
    requests: list[Request] = []

    def note(request: Request) -> None:
        requests.append(request)

    page.on("request", note)
    yield requests
    page.remove_listener("request", note)


def _sent(requests: list[Request], path: str) -> list[Request]:
    return [request for request in requests if request.url.partition("?")[0].endswith(path)]


def test_moves_and_decisions_load_no_document(page: Page, run_dir: Path) -> None:
    _open(page, "/group/1")
    _move(page, "n", "/group/2")
    _move(page, "n", "/group/3")
    _move(page, "b", "/group/2")
    second = _name(page)
    _move(page, "2", "/group/3")
    page.locator("a[rel=next]").click()
    page.wait_for_url("**/group/4")
    fourth = _name(page)
    page.locator("button.pass").dblclick()  # its second click is on the next page
    page.wait_for_url("**/group/5")
    assert _is_same_document(page)
    decided = [(d.group_id, d.opinion.choice) for d in _decisions(run_dir) if d.opinion]
    assert decided == [(fourth, "通过"), (second, "不通过")]
    assert _name(page) not in (second, fourth)
    assert page.title().startswith(f"{_name(page)} · ")
    expect(page.locator("#stage img")).to_have_js_property("complete", True)
    expect(page.locator("#recent li")).to_have_count(2)
    # Each part of a page is there once, and each of its keys does what it does once.
    assert page.locator("#arrived, header, main, #keys-template, #decide, #strip").count() == 6
    expect(page.locator("#strip button")).to_have_count(2)
    overlays = page.locator("#overlays")
    expect(overlays).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("o")
    expect(overlays).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#shown")).to_have_text("图片_2 2 / 2")
    page.keyboard.press("4")
    expect(page.locator(".chips input").first).to_be_checked()
    page.locator(".theme button:visible").click()
    expect(page.locator(".theme button:visible")).to_have_count(1)


def test_a_page_begins_as_after_a_load(page: Page) -> None:
    page.set_viewport_size({"width": 800, "height": 500})
    _open(page, "/group/1")
    page.evaluate("scrollTo(0, 300)")
    page.keyboard.press("r")
    page.keyboard.press("]")
    page.keyboard.press("m")
    expect(page.locator("html")).to_have_class("scripted editing")
    page.keyboard.press("p")  # a shape that is never finished
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    page.locator("#after").focus()
    _move(page, "n", "/group/2")
    expect(page.locator("html")).to_have_class("scripted")
    assert page.evaluate("scrollY") == 0
    expect(page.locator("#arrived")).to_have_text(page.title())
    expect(page.locator("#layer")).to_have_css("--light", "none")
    assert "rotate(0deg)" in (page.locator("#layer").get_attribute("style") or "")
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("h1").click()
    page.keyboard.press("m")
    expect(page.locator("#edit-objects li")).to_have_count(2)
    page.keyboard.press("1")  # held back, as on the first page
    expect(page.locator("#edit-note")).to_contain_text("m")
    assert _is_same_document(page)


def test_back_and_forward_show_what_is_true_now(page: Page, colleague: Page, run_dir: Path) -> None:
    _open(page, "/group/1")
    _move(page, "n", "/group/2")
    _move(page, "3", "/group/3")
    third = _name(page)
    colleague.goto("/group/1")
    colleague.keyboard.press("2")
    colleague.wait_for_url("**/group/4")  # the others are decided, or open here
    page.go_back()
    expect(page.locator("#current")).to_have_text("人工结论: 待定")
    page.go_back()
    expect(page.locator("#current")).to_have_text("人工结论: 不通过")
    expect(page.locator(".history")).to_contain_text(COLLEAGUE)
    page.go_forward()
    page.go_forward()
    expect(page.locator("h1 bdi").first).to_have_text(third)
    assert _is_same_document(page)
    # A link to a photo is no other page, and leads back to the photo before it.
    page.evaluate("location.hash = '#photo-2'")
    expect(page.locator("#shown")).to_have_text("图片_2 2 / 2")
    with _noted(page) as requests:
        page.go_back()
        page.wait_for_url("**/group/3")
    assert _sent(requests, "/group/3") == []
    assert len(_decisions(run_dir)) == 2
    # From another page the earlier group is loaded.
    page.keyboard.press("q")
    page.wait_for_url(lambda url: "/group/" not in url)
    page.go_back()
    expect(page.locator("h1 bdi").first).to_have_text(third)


def test_a_group_is_held_while_its_page_is_shown(page: Page, colleague: Page) -> None:
    with _noted(page) as requests:
        with page.expect_response("**/hold"):
            _open(page, "/group/1")
        for address in ("/group/2", "/group/3"):
            with page.expect_response("**/hold"):
                _move(page, "n", address)
    # Each page says once that it holds its group, and each but the last that it was left.
    holds, leaves = _sent(requests, "/hold"), _sent(requests, "/leave")
    pages = [(request.post_data or "").partition("&page=")[2] for request in holds]
    assert len(set(pages)) == len(pages) == 3
    left = [(request.post_data or "").partition("&page=")[2] for request in leaves]
    assert left == pages[:2]
    colleague.goto("/group/2")
    expect(colleague.locator("#held")).to_be_hidden()
    colleague.goto("/group/3")
    expect(colleague.locator("#held")).to_contain_text(REVIEWER)


def test_pages_that_are_left_ask_nothing_any_more(browser: Browser, server: Served) -> None:
    context = browser.new_context(locale="zh-CN", base_url=server.url)
    with watched_page(context) as page:
        page.clock.install()
        _open(page, "/group/1")
        for number in range(2, 8):
            with page.expect_response("**/hold"):
                _move(page, "n", f"/group/{number}")
        with _noted(page) as requests:
            page.clock.run_for(46_000)
            page.evaluate("0")  # what was asked for is known after this
        assert 1 <= len(_sent(requests, "/changes")) <= 10  # every five seconds at most
        assert len(_sent(requests, "/hold")) == 1
        assert _is_same_document(page)


def test_drafts_stay_with_their_groups(page: Page, run_dir: Path) -> None:
    _open(page, "/group/1")
    page.fill(COMMENT, "第一组")
    page.locator("h1").click()
    _move(page, "n", "/group/2")
    expect(page.locator(COMMENT)).to_have_value("")
    page.fill(COMMENT, "第二组")
    page.locator("h1").click()
    _move(page, "2", "/group/3")
    _move(page, "b", "/group/2")
    expect(page.locator("#draft")).to_be_hidden()
    _move(page, "b", "/group/1")
    expect(page.locator(COMMENT)).to_have_value("第一组")
    expect(page.locator("#draft")).to_be_visible()
    assert page.evaluate("Object.keys(localStorage).filter(name => name.startsWith('draft'))") == [
        page.evaluate("`draft ${document.getElementById('decide').dataset.draft}`")
    ]
    (decision,) = _decisions(run_dir)
    assert decision.opinion is not None
    assert decision.opinion.comment == "第二组"
    assert _is_same_document(page)


@contextmanager
def _delayed(page: Page, address: str, method: str) -> Iterator[Callable[[], None]]:
    """Keep what a page asks for waiting until the test lets it go on."""
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == method:
            waiting.append(route)
        else:
            route.fallback()

    page.route(address, hold)

    def let_go() -> None:
        for route in waiting:
            route.continue_()
        waiting.clear()

    yield let_go
    page.unroute(address, hold)


def test_nothing_is_decided_while_the_next_group_is_fetched(page: Page, run_dir: Path) -> None:
    _open(page, "/group/1")
    with _delayed(page, "**/group/2", "GET") as let_go:
        with page.expect_request("**/group/2"):
            page.keyboard.press("n")
        for key in ("1", "2", "3", "a", "n", "u"):
            page.keyboard.press(key)
        page.locator("button.fail").click()
        assert page.url.endswith("/group/1")
        let_go()
        page.wait_for_url("**/group/2")
    assert _decisions(run_dir) == []
    second = _name(page)
    _move(page, "1", "/group/3")
    assert [decision.group_id for decision in _decisions(run_dir)] == [second]
    assert _is_same_document(page)


def test_going_back_while_a_decision_is_sent_stays_back(page: Page, run_dir: Path) -> None:
    _open(page, "/group/1")
    page.fill(COMMENT, "第一组")
    page.locator("h1").click()
    _move(page, "n", "/group/2")
    second = _name(page)
    with _delayed(page, "**/group/2", "POST") as let_go:
        with page.expect_request("**/group/2"):
            page.keyboard.press("2")
        page.go_back()
        expect(page.locator(COMMENT)).to_have_value("第一组")
        with page.expect_response("**/group/2"):
            let_go()
        page.evaluate("new Promise(done => setTimeout(done, 200))")
    assert page.url.endswith("/group/1")
    page.reload()
    expect(page.locator(COMMENT)).to_have_value("第一组")  # the draft of this group
    assert [decision.group_id for decision in _decisions(run_dir)] == [second]


@pytest.mark.parametrize("moment", ["going", "gone"])
@pytest.mark.parametrize("failure", ["unanswered", "away", "conflict"])
def test_a_decision_that_fails_after_its_page_was_left_is_told(
    page: Page, colleague: Page, run_dir: Path, failure: str, moment: str
) -> None:
    _open(page, "/group/1")
    first = _name(page)
    _move(page, "n", "/group/2")
    second = _name(page)
    waiting: list[Route] = []
    page.route(
        "**/group/2",
        lambda route: waiting.append(route) if route.request.method == "POST" else route.fallback(),
    )
    with page.expect_request("**/group/2"):
        page.keyboard.press("1")
    page.go_back()
    page.wait_for_url("**/group/1")
    if moment == "gone":
        expect(page.locator("h1 bdi").first).to_have_text(first)
    if failure == "conflict":
        colleague.goto("/group/2")
        _move(colleague, "2", "/group/3")
        waiting[0].continue_()
    elif failure == "away":
        waiting[0].fulfill(status=503, json={})
    else:
        waiting[0].abort()
    told = page.locator("#left-not-saved")
    expect(told).to_be_visible()
    expect(told).to_contain_text("没有保存")
    told.get_by_role("link", name=second).click()
    expect(page.locator("h1 bdi").first).to_have_text(second)
    assert page.url.endswith("/group/2")
    assert [d.reviewer for d in _decisions(run_dir)] == [COLLEAGUE] * (failure == "conflict")


@pytest.mark.parametrize("moment", ["apart", "together"])
def test_all_decisions_that_fail_after_their_pages_were_left_are_told(
    page: Page, run_dir: Path, moment: str
) -> None:
    _open(page, "/group/3")
    middle = _name(page)
    names: list[str] = []
    waiting: list[Route] = []
    page.route(
        "**/group/*",
        lambda route: waiting.append(route) if route.request.method == "POST" else route.fallback(),
    )
    told = page.locator("#left-not-saved")
    for key, number in (("b", 2), ("n", 4)):
        _move(page, key, f"/group/{number}")
        expect(told.get_by_role("link")).to_have_text(names if moment == "apart" else [])
        names.append(_name(page))
        with page.expect_request(f"**/group/{number}"):
            page.keyboard.press("1")
        page.go_back()
        expect(page.locator("h1 bdi").first).to_have_text(middle)
        if moment == "apart":
            waiting.pop().fulfill(status=503, json={})
            expect(told.get_by_role("link")).to_have_text(names)
    for route in waiting:
        route.abort()
    expect(told.get_by_role("link")).to_have_text(names)
    # Whoever has been back to one of them still reads of the other.
    told.get_by_role("link", name=names[1]).click()
    expect(page.locator("h1 bdi").first).to_have_text(names[1])
    expect(told.get_by_role("link")).to_have_text(names[:1])
    told.get_by_role("link", name=names[0]).click()
    expect(page.locator("h1 bdi").first).to_have_text(names[0])
    expect(told).to_be_hidden()
    assert _decisions(run_dir) == []


def test_going_on_twice_shows_the_last_page_asked_for(page: Page) -> None:
    _open(page, "/group/1")
    first = _name(page)
    _move(page, "n", "/group/2")
    _move(page, "n", "/group/3")
    with _delayed(page, "**/group/2", "GET") as let_go:
        with page.expect_request("**/group/2"):
            page.evaluate("history.back()")
        page.evaluate("history.back()")
        expect(page.locator("h1 bdi").first).to_have_text(first)
        let_go()
        page.evaluate("new Promise(done => setTimeout(done, 200))")
    expect(page.locator("h1 bdi").first).to_have_text(first)
    assert page.url.endswith("/group/1")
    assert _is_same_document(page)


def test_going_back_and_forth_at_once_stays_where_it_was(page: Page, run_dir: Path) -> None:
    _open(page, "/group/1")
    _move(page, "n", "/group/2")
    second = _name(page)
    with _delayed(page, "**/group/1", "GET") as let_go:
        with page.expect_request("**/group/1"):
            page.evaluate("history.back()")
        page.evaluate("history.forward()")
        page.wait_for_url("**/group/2")
        let_go()
        page.evaluate("new Promise(done => setTimeout(done, 200))")
    assert page.url.endswith("/group/2")
    expect(page.locator("h1 bdi").first).to_have_text(second)
    _move(page, "2", "/group/3")
    assert [decision.group_id for decision in _decisions(run_dir)] == [second]
    # The same while the page after a decision is awaited: the page goes on to work.
    third = _name(page)
    with _delayed(page, "**/group/4", "GET") as let_go:
        with page.expect_request("**/group/4"):
            page.keyboard.press("3")
        page.evaluate("history.back()")
        page.evaluate("history.forward()")
        expect(page.locator("#current")).to_have_text("人工结论: 待定")
        let_go()
        page.evaluate("new Promise(done => setTimeout(done, 200))")
    assert page.url.endswith("/group/3")
    assert _name(page) == third
    _move(page, "n", "/group/4")
    assert _is_same_document(page)


def test_a_group_without_photos_is_decided_after_a_caption_was_corrected(
    browser: Browser, tmp_path: Path, demo_photos: list[Path]
) -> None:
    folder = write_run(tmp_path / "two", thirty()[:2], demo_photos[:1])
    (summaries,) = (folder / "stage_a").iterdir()
    second = summaries.read_text(encoding="utf-8").splitlines(keepends=True)[1]
    summaries.write_text(second, encoding="utf-8")
    with served(folder, "--reviewer", REVIEWER) as running:
        context = browser.new_context(base_url=running.url, viewport={"width": 390, "height": 780})
        with watched_page(context) as page:
            _open(page, "/group/1")
            assert page.locator("#viewer").count() == 0
            _move(page, "n", "/group/2")
            page.locator("#more-tools").click()
            page.locator("#edit").click()
            expect(page.locator("#decide")).to_be_hidden()
            page.go_back()
            page.wait_for_url("**/group/1")
            expect(page.locator("html")).to_have_class("scripted")
            expect(page.locator("#decide")).to_be_visible()
            assert _is_same_document(page)


@pytest.mark.parametrize("cause", ["language", "version", "missing", "unanswered"])
def test_what_cannot_take_the_place_is_loaded(page: Page, server: Served, cause: str) -> None:
    _open(page, "/group/1")
    first, address = _name(page), "/group/2"
    if cause == "language":
        page.context.add_cookies([{"name": "language", "value": "en", "url": server.url}])
    elif cause == "version":
        page.evaluate("document.querySelector('script[type=module]').src += '?earlier'")
    elif cause == "missing":
        address = "/group/9999"
        page.evaluate("document.querySelector('a[rel=next]').href = '/group/9999'")
    else:
        refused = iter([True])  # the first request alone
        page.route(
            "**/group/2", lambda route: route.abort() if next(refused, None) else route.fallback()
        )
    _move(page, "n", address)
    expect(page.locator("h1")).not_to_contain_text(first)
    assert not _is_same_document(page)
    if cause == "language":
        expect(page.locator("html")).to_have_attribute("lang", "en")
        _move(page, "n", "/group/3")


def test_the_blind_audit_goes_on_as_well(page: Page, run_dir: Path) -> None:
    page.goto("/audit")
    page.locator(".queue .row").first.click()
    page.wait_for_url("**/audit/*")
    first = page.url
    page.evaluate("window.isSame = true")
    page.keyboard.press("n")
    page.wait_for_url(lambda url: url != first)
    second = page.url
    page.keyboard.press("2")
    page.wait_for_url(lambda url: url != second)
    expect(page.locator("h1 bdi").first).to_be_visible()
    page.go_back()
    expect(page.locator("#closed")).to_be_visible()  # decided blind, and not again
    assert page.locator("#decide").count() == 0
    page.keyboard.press("1")
    assert _is_same_document(page)
    assert len(_decisions(run_dir)) == 1


def _count_nodes(context: BrowserContext, page: Page) -> dict[str, float]:
    session = context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    counted = session.send("Memory.getDOMCounters")
    session.detach()
    return {name: counted[name] for name in ("nodes", "jsEventListeners")}


def test_pages_that_were_shown_take_no_memory(page: Page) -> None:
    _open(page, "/group/1")
    _move(page, "n", "/group/2")
    counts = []
    for _ in range(3):
        for _ in range(8):
            _move(page, "n", "/group/3")
            _move(page, "b", "/group/2")
        expect(page.locator("#stage img")).to_have_js_property("complete", True)
        counts.append(_count_nodes(page.context, page))
    assert _is_same_document(page)
    for name in ("nodes", "jsEventListeners"):
        assert counts[-1][name] < 1.3 * counts[0][name], counts
