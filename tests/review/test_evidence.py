"""The table of evidence on the page of a group, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from shenhe.row_types import Evidence
from shenhe.rows.decisions import Decisions
from shenhe.values import EvidenceItem
from tests.review.runs import PASS, Group, Served, served, write_run

ITEMS = [
    EvidenceItem("机柜处接地螺丝", "need", "seen", right=("图片_1", "图片_3"), place="2"),
    EvidenceItem("地排处接地螺丝", "need", "missing"),
    EvidenceItem("电线", "need", "doubtful", doubtful=("图片_4",)),
    EvidenceItem("光纤 无保护措施", "fault", "stated", wrong=("图片_2", "图片_7")),
    EvidenceItem("螺丝 未拧紧", "fault", "settled", right=("图片_4",), wrong=("图片_3",)),
]
HELD = Group(
    *("QC-1", None, "fail", 0.98, "evidence_missing: 缺少: 地排处接地螺丝"),
    why=("evidence_missing", "evidence_against"),
    ruling=PASS,
    evidence=Evidence(rules="a" * 16, items=ITEMS),
)
GROUPS = [
    HELD,
    HELD._replace(group_id="QC-2", why=("evidence_missing", "timeout")),
    Group("QC-3", evidence=None, p_pass=0.6),
    Group("QC-4", evidence=Evidence(rules="off"), p_pass=0.7),
    Group("QC-5", evidence=Evidence(rules=""), p_pass=0.8),
]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, demo_photos: list[Path]) -> Path:
    return write_run(tmp_path_factory.mktemp("evidence") / "run", GROUPS, demo_photos[:4])


@pytest.fixture(scope="module")
def server(run_dir: Path) -> Iterator[Served]:
    with served(run_dir, "--reviewer", "李工") as running:
        yield running


def _lit(page: Page) -> list[str]:
    return [figure.get_attribute("id") or "" for figure in page.locator("figure.lit").all()]


def test_an_item_a_row_and_a_photo_a_column(page: Page) -> None:
    page.goto("/group/1")
    rows = page.locator("#evidence tr")
    assert [row.inner_text().split() for row in rows.all()] == [
        ["检查内容", "情况", "1", "2", "3", "4", "7"],
        ["机柜处接地螺丝", "安装位置", "2", "已看到", "✓", "–", "✓", "–", "–"],
        ["地排处接地螺丝", "缺少", *"–––––"],
        ["电线", "有疑问", *"–––?–"],
        ["光纤", "无保护措施", "有缺陷", *"–✗––✗"],
        ["螺丝", "未拧紧", "已由其他照片说明", *"––✗✓–"],
    ]
    cell = page.locator("#evidence .cell.wrong a").first
    expect(cell).to_have_attribute("aria-label", "图片_2: 不符合")
    expect(page.locator(".legend")).to_have_text("✓ 符合 · ✗ 不符合 · ? 有疑问 · – 未提及")
    # A photo that the group no longer has is in no link.
    expect(page.locator("#evidence .cell.wrong a")).to_have_count(2)
    expect(page.locator(".verdict")).to_contain_text("模型判为 通过: 缺少必要内容 摘要写明了问题")
    expect(page.locator("body")).not_to_contain_text("evidence_")
    page.goto("/group/2")
    expect(page.locator(".verdict")).to_contain_text("其他原因 timeout")
    page.keyboard.press("e")
    page.wait_for_load_state()
    expect(page.locator("#evidence tbody tr").last).to_contain_text("settled by another photo")
    expect(page.locator(".verdict")).to_contain_text("evidence missing")


def test_what_is_pointed_at_lights_up_its_photos(page: Page) -> None:
    page.goto("/group/1")
    row = page.locator("#evidence tbody tr").first
    row.locator("td").first.hover()
    assert _lit(page) == ["photo-1", "photo-3"]
    page.locator("#evidence .cell.doubtful a").hover()
    assert _lit(page) == ["photo-4"]
    page.locator("#evidence tbody tr").nth(1).hover()
    assert _lit(page) == []
    page.locator("h1").hover()
    assert _lit(page) == []


def test_the_keyboard_lights_up_photos_too_and_decides_nothing(page: Page, run_dir: Path) -> None:
    page.goto("/group/1")
    row = page.locator("#evidence tbody tr").first
    row.locator("th a").focus()
    assert _lit(page) == ["photo-1", "photo-3"]
    page.keyboard.press("Tab")
    assert _lit(page) == ["photo-1"]
    page.keyboard.press("Tab")
    assert _lit(page) == ["photo-3"]
    # Pointing elsewhere and away leaves the focus in force.
    page.locator("#evidence .cell.doubtful a").hover()
    assert _lit(page) == ["photo-4"]
    page.locator("h1").hover()
    assert _lit(page) == ["photo-3"]
    page.keyboard.press("Enter")
    expect(page.locator("#shown")).to_have_text("图片_3 3 / 4")
    assert page.url.endswith("#photo-3")
    page.locator("h1").click()
    assert _lit(page) == []
    assert Decisions(run_dir).trail() == []


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (3, "未做证据检查"),
        (4, "未做证据检查：运行时已关闭"),
        (5, "未做证据检查：此任务没有证据规则"),
    ],
)
def test_groups_without_evidence_say_so(page: Page, number: int, sentence: str) -> None:
    page.goto(f"/group/{number}")
    expect(page.locator("#no-evidence")).to_have_text(sentence)
    expect(page.locator("#evidence")).to_have_count(0)


def test_a_phone_scrolls_the_table_alone(browser: Browser, server: Served) -> None:
    context = browser.new_context(base_url=server.url, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto("/group/1")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#evidence .cell.wrong a").first.click()
    expect(page.locator("#shown")).to_have_text("图片_2 2 / 4")
    expect(page.locator("#stage img")).to_be_in_viewport()
    context.close()
