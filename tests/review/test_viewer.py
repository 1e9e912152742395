"""The viewer of photos in a real browser: looking closely, the objects, and deciding meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from shenhe.rows.decisions import Decisions
from shenhe.web.pictures import MAX_SIDES
from tests.browsers import watched_page
from tests.review.runs import Served, served
from tests.review.viewer_run import DESCS, write_viewer_run

Rectangle = dict[str, float]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    return write_viewer_run(tmp_path_factory.mktemp("viewer") / "run", demo_photos[:5])


@pytest.fixture(scope="module")
def server(run_dir: Path) -> Iterator[Served]:
    with served(run_dir, "--reviewer", "李工") as running:
        yield running


@pytest.fixture(scope="module")
def open_window(browser: Browser, server: Served) -> Iterator[Callable[..., Page]]:
    """Opens windows whose scripts must raise nothing and ask for nothing that is forbidden."""
    with ExitStack() as stack:

        def open_one(width: int, height: int, **options: Any) -> Page:
            size: Any = {"width": width, "height": height}
            context = browser.new_context(
                locale="zh-CN", base_url=server.url, viewport=size, **options
            )
            return stack.enter_context(watched_page(context))

        yield open_one


@pytest.fixture(scope="module")
def page(open_window: Callable[..., Page]) -> Page:
    return open_window(1280, 860)


@pytest.fixture(scope="module")
def phone(open_window: Callable[..., Page]) -> Page:
    return open_window(390, 844, has_touch=True, is_mobile=True)


def _open(page: Page, number: int, photo: int = 1) -> Page:
    page.goto(f"/group/{number}#photo-{photo}")
    page.reload()  # a new fragment alone loads nothing
    _wait_for(page, photo, "large")
    return page


def _wait_for(page: Page, photo: int, size: str) -> None:
    expect(page.locator("#stage img")).to_have_attribute("src", re.compile(f"/{photo}/{size}.jpg"))


def _rectangle(page: Page, selector: str = "#stage img") -> Rectangle:
    found: Rectangle = page.locator(selector).evaluate(
        "one => one.getBoundingClientRect().toJSON()"
    )
    return found


def _seen_at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Give the point of the photo that is at a point of the window, from 0 to 1."""
    photo = _rectangle(page)
    return (x - photo["left"]) / photo["width"], (y - photo["top"]) / photo["height"]


def _shown(page: Page) -> str:
    return page.locator("#shown").inner_text()


def test_photos_one_by_one(page: Page) -> None:
    _open(page, 1)
    assert page.locator("#before").is_disabled()
    page.keyboard.press("ArrowRight")
    assert _shown(page) == "图片_2 2 / 3"
    assert "图片_2: BBU设备" in (page.locator("#stage img").get_attribute("alt") or "")
    expect(page.locator("figure:visible")).to_have_count(1)
    expect(page.locator("#photo-2 .line")).to_be_visible()
    page.click("#after")
    page.keyboard.press("ArrowRight")  # there is no further one
    assert _shown(page) == "图片_3 3 / 3"
    expect(page.locator("#strip [aria-current]")).to_have_attribute("data-photo", "图片_3")
    page.click("#strip button >> nth=0")
    assert _shown(page) == "图片_1 1 / 3"
    assert page.locator("#shown").get_attribute("role") == "status"
    # An item of the evidence lights its photos in the strip, and a click shows the first of them.
    item = page.locator("#evidence tbody th a")
    item.hover()
    assert page.locator("#strip .lit").all_inner_texts() == ["2", "3"]
    item.click()
    assert _shown(page) == "图片_2 2 / 3"
    assert page.url.endswith("#photo-2")


def test_zoom_keeps_what_is_under_the_pointer(page: Page) -> None:
    _open(page, 1)
    whole = _rectangle(page)
    x, y = whole["left"] + 0.3 * whole["width"], whole["top"] + 0.7 * whole["height"]
    page.mouse.move(x, y)
    for ticks in (-120, -240, -120, 120):
        before = _seen_at(page, x, y)
        page.mouse.wheel(0, ticks)
        page.wait_for_function("old => document.querySelector('#stage img').width !== old", arg=0)
        assert _seen_at(page, x, y) == pytest.approx(before, abs=0.002)
    assert _rectangle(page)["width"] > 1.5 * whole["width"]
    # Dragged, it follows the pointer.
    before = _seen_at(page, x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y - 60, steps=3)
    page.mouse.up()
    assert _seen_at(page, x + 90, y - 60) == pytest.approx(before, abs=0.002)
    page.keyboard.press("f")
    assert _rectangle(page) == pytest.approx(whole)
    # Two clicks show the pixels as they are, and the whole photo again.
    page.mouse.dblclick(x, y)
    assert _rectangle(page)["width"] == pytest.approx(640)
    page.mouse.dblclick(x, y)
    assert _rectangle(page) == pytest.approx(whole)
    page.keyboard.press("+")
    assert _rectangle(page)["width"] == pytest.approx(1.5 * whole["width"])
    page.keyboard.press("-")
    assert _rectangle(page) == pytest.approx(whole)


def test_turned_and_lit(page: Page) -> None:
    _open(page, 1)
    whole, stage = _rectangle(page), _rectangle(page, "#stage")
    page.keyboard.press("r")
    turned = _rectangle(page)
    assert turned["width"] / turned["height"] == pytest.approx(
        whole["height"] / whole["width"], abs=0.001
    )
    assert turned["height"] <= stage["height"] + 1
    # A photo stays turned while the page is open; another one is upright.
    page.keyboard.press("ArrowRight")
    assert _rectangle(page)["width"] > _rectangle(page)["height"]
    page.keyboard.press("ArrowLeft")
    assert _rectangle(page)["width"] < _rectangle(page)["height"]
    light = "document.querySelector('#layer img').computedStyleMap().get('filter').toString()"
    assert page.evaluate(light) == "none"
    page.keyboard.press("]")
    page.click("#contrast")
    assert page.evaluate(light) == "brightness(1.25) contrast(1.6)"
    page.keyboard.press("[")
    page.click("#contrast")
    assert page.evaluate(light) == "none"


def test_objects_and_their_descs_light_one_another(page: Page) -> None:
    _open(page, 1)
    rows, shapes = page.locator("#legend li"), page.locator("#layer g[data-object]")
    expect(rows).to_have_count(104)
    expect(shapes).to_have_count(104)
    expect(rows.locator("bdi").nth(1)).to_have_text(DESCS[1])
    expect(rows.locator("bdi").nth(2)).to_have_text(DESCS[2])
    assert page.locator("#layer b, #legend b").count() == 0
    lit = "document.querySelector('#layer .lit')?.dataset.object"
    rows.nth(1).hover()
    assert page.evaluate(lit) == "object_2"
    photo = _rectangle(page)
    # Inside the box of the first object; between the corners of the line, which is the third.
    for x, y, number in ((0.2, 0.3, 1), (0.2, 0.65, 3), (0.95, 0.05, 0), (0.7, 0.2, 2)):
        page.mouse.move(photo["left"] + x * photo["width"], photo["top"] + y * photo["height"])
        assert page.evaluate(lit) == (f"object_{number}" if number else None)
        expect(page.locator("#legend .lit .swatch")).to_have_text([str(number)] if number else [])
    rows.nth(0).locator("button").focus()
    page.mouse.move(5, 5)
    assert page.evaluate(lit) == "object_1"
    # Each on and off, and all on and off.
    page.keyboard.press("Enter")
    page.locator("h1").click()
    expect(shapes.locator("visible=true")).to_have_count(103)
    expect(rows.nth(0).locator("button")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("o")
    assert page.locator("#layer g[data-object]").evaluate_all(
        "all => all.every(one => getComputedStyle(one).display === 'none')"
    )
    page.reload()
    expect(page.locator("#overlays")).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("o")
    expect(page.locator("#overlays")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")  # a photo without a caption
    expect(page.locator("#legend")).to_be_hidden()
    expect(shapes).to_have_count(0)


def test_shapes_stand_on_the_photo_however_it_is_shown(page: Page) -> None:
    _open(page, 1)
    for key in ("", "+", "r", "z"):
        if key:
            page.keyboard.press(key)
        photo, box = _rectangle(page), _rectangle(page, "[data-object=object_1] .casing")
        share = sorted((box["width"] / photo["width"], box["height"] / photo["height"]))
        assert share == pytest.approx([0.3, 0.3], abs=0.02), key
    page.keyboard.press("Escape")
    x, y = 500.0, 300.0
    at = page.evaluate(
        """async ([x, y]) => {
          const app = document.querySelector("script[type=module]").src;
          return (await import(app.replace("app.js", "viewer.js"))).stage.toPhoto(x, y);
        }""",
        [x, y],
    )
    left, top = _seen_at(page, x, y)  # turned by 90 degrees to the right
    assert at == pytest.approx([1000 * top, 1000 * (1 - left)], abs=2)


def test_pixels_come_when_they_are_looked_at(page: Page) -> None:
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    _open(page, 3, 2)
    assert not any("full" in address for address in fetched)
    page.keyboard.press("f")
    _wait_for(page, 2, "full")
    assert _rectangle(page)["width"] == pytest.approx(4800)
    assert page.locator("#stage img").evaluate("one => one.naturalWidth") == 4800
    page.keyboard.press("f")
    assert _rectangle(page)["width"] <= _rectangle(page, "#stage")["width"]
    # One pixel, a photo that lies on its side in its file, and one that cannot be opened.
    page.keyboard.press("ArrowLeft")
    _wait_for(page, 1, "large")
    stage = _rectangle(page, "#stage")
    assert _rectangle(page)["height"] == pytest.approx(stage["height"], abs=1)
    page.keyboard.press("f")
    assert _rectangle(page)["width"] == pytest.approx(1)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    _wait_for(page, 3, "large")
    photo = _rectangle(page)
    assert photo["width"] / photo["height"] == pytest.approx(2 / 3, abs=0.01)
    page.keyboard.press("ArrowRight")
    expect(page.locator("#broken")).to_have_text("照片无法打开: 4.jpg")
    expect(page.locator("#strip .unreadable")).to_have_count(1)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#broken")).to_be_hidden()


def test_decided_while_the_photo_is_enlarged(page: Page, run_dir: Path) -> None:
    _open(page, 4)
    for key in ("z", "+", "ArrowRight", "g", "ArrowLeft", "Enter", "f", "r", "]", "o", "Escape"):
        page.keyboard.press(key)
    assert Decisions(run_dir).trail() == []
    assert page.url.split("#")[0].endswith("/group/4")
    page.keyboard.press("z")
    expect(page.locator(".decide")).to_be_in_viewport()
    stage = _rectangle(page, "#stage")
    assert stage["width"] == 1280
    assert stage["top"] == 0
    page.keyboard.press("+")
    page.keyboard.press("?")  # over the list of keys no key decides
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    assert Decisions(run_dir).trail() == []
    for key in ("2", "1", "3", "a"):
        before = page.url
        page.keyboard.press("z")
        page.keyboard.press(key)
        page.wait_for_url(lambda url, before=before: url != before)  # type: ignore[misc]
    choices = [d.opinion.choice for d in Decisions(run_dir).trail() if d.opinion]
    assert choices == ["通过", "待定", "通过", "不通过"]


def test_a_contact_sheet_of_300_photos(page: Page) -> None:
    fetched: list[str] = []

    def note(request: Any) -> None:
        fetched.extend(re.findall(r"/photo/2/(\d+)/thumb.jpg", request.url))

    page.on("request", note)
    page.goto("/group/2")
    page.wait_for_load_state("networkidle")
    assert 8 <= len(fetched) <= 16
    page.keyboard.press("g")
    thumbnails = page.locator("#strip button")
    expect(thumbnails).to_have_count(300)
    expect(thumbnails.first).to_be_focused()
    seen = page.wait_for_function(
        """() => { const box = document.querySelector("#strip").getBoundingClientRect();
          const seen = [...document.querySelectorAll("#strip img")].filter((image) => {
            const at = image.getBoundingClientRect();
            return at.top < box.bottom && at.bottom > box.top;
          });
          return seen.every((image) => image.naturalWidth) && seen.length; }"""
    ).json_value()
    page.wait_for_load_state("networkidle")
    assert 20 < seen <= len(fetched) == len(set(fetched)) < 80
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    columns = int(page.evaluate("document.activeElement.textContent")) - 2
    assert columns > 3
    page.keyboard.press("End")
    expect(thumbnails.last).to_be_in_viewport()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert _shown(page) == f"图片_{300 - columns} {300 - columns} / 300"
    assert page.locator("#strip").evaluate("strip => strip.offsetHeight") < 100
    expect(page.locator("#strip [aria-current]")).to_be_in_viewport()
    page.remove_listener("request", note)


def _move(page: Page, paths: list[list[tuple[float, float]]]) -> None:
    """Move fingers along their paths, all of the same number of points."""
    session = page.context.new_cdp_session(page)

    def send(kind: str, points: tuple[tuple[float, float], ...] = ()) -> None:
        places: Any = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    first, *steps = zip(*paths, strict=True)
    send("touchStart", first)
    for step in steps:
        send("touchMove", step)
    send("touchEnd")
    session.detach()


def test_fingers_on_a_phone(phone: Page) -> None:
    _open(phone, 1)
    swipe = [(300.0 - 40 * step, 400.0) for step in range(6)]
    _move(phone, [swipe])
    assert _shown(phone) == "图片_2 2 / 3"
    _move(phone, [swipe[::-1]])
    assert _shown(phone) == "图片_1 1 / 3"
    whole = _rectangle(phone)
    y = whole["top"] + whole["height"] / 2
    before = _seen_at(phone, 200, y)
    left = [(180.0 - 20 * step, y) for step in range(5)]
    right = [(220.0 + 20 * step, y) for step in range(5)]
    _move(phone, [left, right])
    near = _rectangle(phone)
    assert near["width"] == pytest.approx(5 * whole["width"], rel=0.2)
    assert _seen_at(phone, 200, y) == pytest.approx(before, abs=0.02)
    assert phone.evaluate("visualViewport.scale") == 1
    # Enlarged, a finger moves the photo, not the page, and does not change the photo.
    _move(phone, [[(300.0 - 20 * step, 300 + 20.0 * step) for step in range(5)]])
    assert _rectangle(phone)["left"] == pytest.approx(near["left"] - 80, abs=1)
    assert _rectangle(phone)["top"] == pytest.approx(near["top"] + 80, abs=1)
    assert (_shown(phone), phone.evaluate("scrollY")) == ("图片_1 1 / 3", 0)
    phone.touchscreen.tap(150, 300)
    phone.touchscreen.tap(150, 300)
    assert _rectangle(phone)["width"] == pytest.approx(whole["width"])
    _move(phone, [[(200.0, 400.0 - 30 * step) for step in range(6)]])  # up: the page moves
    assert _shown(phone) == "图片_1 1 / 3"
    assert phone.evaluate("scrollY") > 50


@pytest.mark.parametrize("size", [(390, 844), (844, 390)], ids=["upright", "across"])
def test_the_photo_has_the_screen_of_a_phone(phone: Page, size: tuple[int, int]) -> None:
    width, height = size
    phone.set_viewport_size({"width": width, "height": height})
    _open(phone, 5)
    stage = _rectangle(phone, "#stage")
    seen = (min(stage["bottom"], height) - max(stage["top"], 0)) * stage["width"]
    assert seen / (width * height) >= 0.8
    for button in phone.locator(".decide .buttons button").all():
        box = button.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) >= 44
        # In reach of a thumb: at the lower edge, or at the right one.
        assert box["y"] + box["height"] <= height
        assert box["y"] > 0.8 * height or box["x"] > 0.8 * width
    assert phone.evaluate("document.documentElement.scrollWidth") <= width
    phone.locator("#photo-1 .line").scroll_into_view_if_needed()
    phone.click("#more-tools", force=True)
    phone.click("#contact")
    tools, first = _rectangle(phone, "#leave"), _rectangle(phone, "#strip button >> nth=0")
    assert first["top"] >= tools["bottom"]
    violations = Axe().run(phone).response["violations"]
    assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == []


def test_without_its_script_the_page_shows_its_photos(open_window: Callable[..., Page]) -> None:
    page = open_window(1280, 860, java_script_enabled=False)
    page.goto("/group/1")
    expect(page.locator(".picture").first).to_be_visible()
    expect(page.locator("#viewer")).to_be_hidden()
    page.click("#evidence tbody th a")
    expect(page.locator("#photo-2 .picture")).to_be_in_viewport()
    page.goto("/group/12")
    with page.expect_navigation():
        page.click("button.undecided")
    assert "told=end" in page.url or "/group/" in page.url


def test_thumbnails_are_small(page: Page) -> None:
    answer = page.request.get("/photo/2/1/thumb.jpg")
    assert len(answer.body()) < 20_000
    assert answer.headers["cache-control"] == "private, no-cache"
    again = page.request.get(
        "/photo/2/1/thumb.jpg", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert again.status == 304
    assert set(MAX_SIDES) == {"thumb", "small", "large", "full"}
    assert page.request.get("/overlay/1/1/small.jpg").status == 404
    assert len(page.request.get("/group/2").body()) < 300 * 1000
