"""Captions are corrected in a real browser: by mouse, by keyboard, and with a finger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect

from shenhe.rows.decisions import Decisions
from tests.browsers import watched_page
from tests.review.runs import Group, Served, served, stored_shapes, write_captions, write_run

BOX = {"key": "object_1", "kind": "bbox_2d", "points": [[100, 100], [500, 400]]}
WIRE = {"key": "object_2", "kind": "line", "points": [[10, 10], [700, 800]]}
MODEL = [BOX | {"desc": "BBU设备/华为"}, WIRE | {"desc": "电线/捆扎整齐"}]
TO_SCREEN = """([x, y]) => {
  const svg = document.querySelector("#layer svg");
  const point = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
  return [point.x, point.y];
}"""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    folder = tmp_path_factory.mktemp("geometry") / "run"
    write_run(folder, [Group(f"QC-{number}") for number in range(1, 10)], demo_photos[:3])
    write_captions(folder, demo_photos[:2])
    return folder


@pytest.fixture(scope="module")
def server(run_dir: Path) -> Iterator[Served]:
    with served(run_dir, "--reviewer", "李工") as running:
        yield running


@pytest.fixture(scope="module")
def window(browser: Browser, server: Served) -> Iterator[Page]:
    size = ViewportSize(width=1280, height=900)
    context = browser.new_context(locale="zh-CN", base_url=server.url, viewport=size)
    with watched_page(context) as page:
        yield page


SETTLED = """async () => {
  const layer = document.getElementById("layer");
  for (let same = 0, last = ""; same < 4; ) {
    const place = JSON.stringify(layer.getBoundingClientRect());
    same = place === last ? same + 1 : 0;
    last = place;
    await new Promise(requestAnimationFrame);
  }
}"""
"""Waits until the photo has its place: the stage follows what stands around it."""


def _begin(page: Page, number: int) -> None:
    page.goto(f"/group/{number}")
    page.wait_for_function("document.querySelector('#layer img').naturalWidth > 300")
    page.keyboard.press("m")
    expect(page.locator("#editor")).to_be_visible()
    page.evaluate(SETTLED)


def _place(page: Page, x: float, y: float) -> tuple[float, float]:
    """Give a point of the photo in the window, by the matrix of its SVG."""
    px, py = page.evaluate(TO_SCREEN, [x, y])
    return px, py


def _drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*_place(page, *start))
    page.mouse.down()
    page.mouse.move(*_place(page, *[(a + b) / 2 for a, b in zip(start, end, strict=True)]))
    page.mouse.move(*_place(page, *end))
    page.mouse.up()


def _click(page: Page, x: float, y: float) -> None:
    page.mouse.click(*_place(page, x, y))


def _shapes(page: Page) -> dict[str, Any]:
    text = page.locator("[name=shapes]").input_value()
    content = json.loads(text or "{}")
    assert isinstance(content, dict)
    return content


def _points(page: Page, at: int = 0, photo: str = "图片_1") -> list[list[int]]:
    points: list[list[int]] = _shapes(page)[photo][at]["points"]
    return points


def _near(points: list[list[int]], expected: list[list[int]], by: int = 2) -> bool:
    flat = [n for point in points for n in point], [n for point in expected for n in point]
    return len(flat[0]) == len(flat[1]) and all(
        abs(a - b) <= by for a, b in zip(*flat, strict=True)
    )


def test_a_corner_is_dragged_zoomed_in_and_turned_and_stored_exactly(
    window: Page, run_dir: Path
) -> None:
    page = window
    _begin(page, 1)
    for key in ("r", "+", "+"):
        page.keyboard.press(key)
    _click(page, 300, 100)  # on a side
    expect(page.locator("#edit-objects [aria-pressed=true]")).to_contain_text("BBU设备/华为")
    _drag(page, (500, 400), (620, 450))
    assert _near(_points(page), [[100, 100], [620, 450]])
    _drag(page, (360, 275), (380, 245))  # the whole box, by its inside
    assert _near(_points(page), [[120, 70], [640, 420]])
    for _ in range(2):
        page.keyboard.press("-")
    # A corner that is dragged over the opposite one leaves a box that is none the less one.
    _drag(page, (120, 70), (700, 500))
    assert _near(_points(page), [[640, 420], [700, 500]])
    page.keyboard.press("Control+z")
    page.keyboard.press(".")
    for key in ("ArrowLeft", "ArrowLeft", "Shift+ArrowUp"):
        page.keyboard.press(key)
    [[x1, y1], [x2, y2]] = _points(page)
    page.keyboard.press("Control+z")  # three steps of one corner that follow each other are one
    assert _points(page) == [[x1 + 2, y1 + 10], [x2, y2]]
    page.keyboard.press("Control+Shift+z")
    assert _points(page) == [[x1, y1], [x2, y2]]
    sent = _shapes(page)
    assert sent == {
        "图片_1": [
            MODEL[0] | {"points": [[x1, y1], [x2, y2]], "kept": False},
            MODEL[1] | {"kept": False},
        ]
    }
    for key in ("1", "2", "3", "a", "n", "u"):  # while a caption is corrected no key decides
        page.keyboard.press(key)
    expect(page.locator("#edit-note")).to_contain_text("这个键不起作用")
    assert page.url.endswith("/group/1")
    assert Decisions(run_dir).trail() == []
    for _ in range(3):  # the corner, the object, the correcting
        page.keyboard.press("Escape")
    expect(page.locator("#editor")).to_be_hidden()
    page.keyboard.press("2")
    page.wait_for_url("**/group/2")
    assert stored_shapes(run_dir) == sent
    # What was saved is shown, and the way back is a button.
    _begin(page, 1)
    assert _shapes(page) == sent
    expect(page.locator("#draft")).to_be_hidden()
    page.click("#edit-compare")
    expect(page.locator(".of-model")).to_have_count(2)
    page.click("#edit-restore")
    expect(page.locator("#edit-restore")).to_be_disabled()
    assert _shapes(page) == {}
    page.click("#edit-done")
    page.keyboard.press("2")
    page.wait_for_url("**/group/2")
    assert stored_shapes(run_dir) == {}


def test_objects_are_added_changed_and_deleted(window: Page, run_dir: Path) -> None:
    page = window
    _begin(page, 3)
    for _ in range(2):
        page.keyboard.press("ArrowRight")  # to a photo without a caption
    expect(page.locator("#edit-none")).to_be_visible()
    page.keyboard.press("b")
    _drag(page, (700, 600), (300, 200))
    assert _near(_points(page, photo="图片_3"), [[300, 200], [700, 600]])
    expect(page.locator("#edit-missing")).to_be_visible()
    page.keyboard.press("Escape")  # leaves the list of categories, which had the focus
    page.keyboard.press("p")
    for point in ((100, 700), (300, 700), (320, 900), (200, 800)):
        _click(page, *point)
    page.keyboard.press("Backspace")
    _click(page, 100, 920)
    page.click("button.fail")  # a shape that is not finished is not lost
    expect(page.locator("#edit-note")).to_contain_text("没有画完")
    page.keyboard.press("Enter")
    page.select_option("[data-level=类别]", "标签")
    page.fill("[data-level=文字]", "4G-1")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    _click(page, 800, 100)
    _click(page, 850, 300)
    page.mouse.dblclick(*_place(page, 900, 500))
    page.select_option("[data-level=类别]", "电线")
    page.select_option("[data-level=整齐]", "捆扎整齐")
    page.keyboard.press("Escape")
    _, label, wire = _shapes(page)["图片_3"]
    assert (label["desc"], wire["desc"]) == ("标签/4G-1", "电线/捆扎整齐")
    assert _near(label["points"], [[100, 700], [300, 700], [320, 900], [100, 920]])
    assert _near(wire["points"], [[800, 100], [850, 300], [900, 500]])
    # A corner on a side: by its middle, or by a second click; taken away with Delete.
    _drag(page, (825, 200), (780, 220))
    assert len(_points(page, 2, "图片_3")) == 4
    page.mouse.dblclick(*_place(page, 885, 440))
    assert len(_points(page, 2, "图片_3")) == 5
    page.keyboard.press("Delete")
    assert len(_points(page, 2, "图片_3")) == 4
    # Another kind of shape.
    page.locator("#edit-objects button").nth(1).click()
    page.select_option("#edit-kind", "bbox_2d")
    assert _near(_points(page, 1, "图片_3"), [[100, 700], [320, 920]])
    page.keyboard.press("Control+z")
    assert len(_points(page, 1, "图片_3")) == 4
    page.locator("#edit-objects button").first.click()
    page.keyboard.press("Delete")
    assert [item["key"] for item in _shapes(page)["图片_3"]] == ["new_2", "new_3"]
    # Without a pointer: Enter puts a shape in the middle, and the arrows move it.
    page.locator("#edit-note").click()
    for key in ("b", "Enter", "Escape", ".", "Shift+ArrowLeft", "Escape", "ArrowDown"):
        page.keyboard.press(key)
    assert _points(page, 2, "图片_3") == [[390, 401], [600, 601]]
    page.keyboard.press("Delete")
    # A draft is there after a reload, and told of.
    kept = _shapes(page)
    page.reload()
    expect(page.locator("#draft")).to_be_visible()
    assert _shapes(page) == kept
    page.keyboard.press("2")
    page.wait_for_url("**/group/4")
    assert stored_shapes(run_dir) == {
        "图片_3": [item | {"points": _in_order(item)} for item in kept["图片_3"]]
    }


def _in_order(item: dict[str, Any]) -> list[list[int]]:
    """Give the points as the server stores them: a polygon from its top-left corner on."""
    points: list[list[int]] = item["points"]
    first = min(range(len(points)), key=lambda at: sum(points[at]))
    return points[first:] + points[:first] if item["kind"] == "poly" else points


def test_descs_are_chosen_level_by_level_and_a_typo_is_told_of(window: Page, run_dir: Path) -> None:
    page = window
    _begin(page, 5)
    page.locator("#edit-objects button").first.click()
    for level, value, desc in (
        ("完整性", "显示完整", "BBU设备/华为,显示完整"),
        ("挡风板", "机柜空间充足需要安装", "BBU设备/华为,显示完整,机柜空间充足需要安装"),
        ("配备", "按要求配备挡风板", "BBU设备/华为,显示完整,机柜空间充足需要安装/按要求配备挡风板"),
        ("挡风板", "无需安装", "BBU设备/华为,显示完整,无需安装"),
        ("品牌", "", "BBU设备/显示完整,无需安装"),
        ("类别", "螺丝、光纤插头", "螺丝、光纤插头"),
        ("种类", "BBU安装螺丝", "螺丝、光纤插头/BBU安装螺丝"),
        ("要求", "不符合要求", "螺丝、光纤插头/BBU安装螺丝,不符合要求"),
    ):
        page.select_option(f"[data-level={level}]", value)
        assert _shapes(page)["图片_1"][0]["desc"] == desc
    for fault in ("生锈", "未拧紧"):
        page.check(f"[data-level='缺陷 {fault}']")
    page.locator("[data-level=备注]").press_sequentially("看不清")
    chosen = "螺丝、光纤插头/BBU安装螺丝,不符合要求/未拧紧,生锈/备注:看不清"
    expect(page.locator("#edit-free")).to_have_value(chosen)
    expect(page.locator("#edit-unknown")).to_be_hidden()
    # Digits in a field are text, and a typo is told of at once.
    page.fill("#edit-free", "BBU设备/华力1")
    page.locator("#edit-free").press("2")
    expect(page.locator("#edit-unknown")).to_be_visible()
    assert len(Decisions(run_dir).trail()) == _before(run_dir)
    page.fill("#edit-free", "BBU设备/华力")
    expect(page.locator("#edit-meant bdi")).to_have_text("BBU设备/华为")
    expect(page.locator("#edit-objects .sign")).to_have_count(1)
    # The server answers, whatever the page did not tell; nothing is lost.
    page.click("button.fail")
    expect(page.locator("#unknown-descs")).to_contain_text("BBU设备/华力")
    expect(page.locator("#editor")).to_be_visible()
    assert _shapes(page)["图片_1"][0]["desc"] == "BBU设备/华力"
    page.click("#edit-meant")  # of the object that is asked about: it is chosen
    assert _shapes(page) == {}  # as the model has it
    page.keyboard.press("Control+z")
    page.check("#edit-keep")
    page.click("button.fail")
    page.wait_for_url("**/group/6")
    assert [(item["desc"], item["kept"]) for item in stored_shapes(run_dir)["图片_1"]] == [
        ("BBU设备/华力", True),
        ("电线/捆扎整齐", False),
    ]


def _before(run_dir: Path) -> int:
    return len({decision.number for decision in Decisions(run_dir).trail()})


def test_without_the_script_descs_are_read_and_corrections_stay(
    browser: Browser, server: Served, window: Page, run_dir: Path
) -> None:
    page = window
    _begin(page, 7)
    page.locator("#edit-objects button").nth(1).click()
    page.keyboard.press("Delete")
    page.click("#edit-done")
    page.keyboard.press("2")
    page.wait_for_url("**/group/8")
    stored = stored_shapes(run_dir)
    context = browser.new_context(base_url=server.url, java_script_enabled=False)
    plain = context.new_page()
    plain.goto("/group/7")
    expect(plain.locator("#photo-1 .things li")).to_have_text(["BBU设备/华为"])
    plain.click("button.undecided")
    plain.wait_for_url("**/group/8")
    assert stored_shapes(run_dir) == stored == {"图片_1": [MODEL[0] | {"kept": False}]}
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_on_a_phone_a_finger_drags_a_corner(browser: Browser, server: Served, theme: str) -> None:
    context = browser.new_context(
        locale="zh-CN",
        base_url=server.url,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = context.new_page()
    page.goto("/group/9")
    page.wait_for_function("document.querySelector('#layer img').naturalWidth > 300")
    page.evaluate("document.getElementById('edit').click()")
    page.evaluate(SETTLED)
    devtools = context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        sent = [{"x": x, "y": y} for x, y in (_place(page, *point) for point in points)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": sent})

    def swipe(*points: tuple[float, float]) -> None:
        touch("touchStart", points[0])
        for point in points[1:]:
            touch("touchMove", point)
        touch("touchEnd")

    swipe((420, 180))
    expect(page.locator("#edit-objects [aria-pressed=true]")).to_contain_text("BBU设备/华为")
    page.evaluate(SETTLED)
    swipe((520, 420), (560, 500), (640, 560))  # beside the corner: a finger is not exact
    assert _near(_points(page), [[100, 100], [620, 540]], 4)
    expect(page.locator(".decide")).to_be_hidden()
    violations = Axe().run(page).response["violations"]
    assert [v for v in violations if v["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()
