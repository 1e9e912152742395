"""The report's page on paper: A4, nothing cut off; its shares have intervals."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from shenhe.languages import LANGUAGES, Language
from shenhe.report import write_report
from shenhe.row_types import Evidence
from shenhe.values import EvidenceItem
from tests.review.runs import FAIL, PASS, Group, write_run

PHOTOS = 28
"""The largest groups of the field have as many."""


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("printed")
    photos = [folder / f"{number}.png" for number in range(PHOTOS)]
    for number, photo in enumerate(photos):
        Image.new("RGB", (400, 300), (9 * number, 90, 120)).save(photo)
    keys = tuple(f"图片_{number}" for number in range(1, PHOTOS + 1))
    items = [EvidenceItem("机柜处接地螺丝", "need", "seen", right=keys)]
    items.append(EvidenceItem("地排处接地螺丝", "need", "missing"))
    wide = Evidence(rules="a" * 16, items=items)
    names = (f"任务{number % 3}：名称很长的一项现场检查" for number in range(12))
    groups = [Group(f"QC-{n}", FAIL, "fail", mission=name) for n, name in enumerate(names)]
    why = ("evidence_missing",)
    groups.append(Group("x" * 300, None, "pass", None, "y" * 400, why=why, evidence=wide))
    return write_run(folder / "run", groups, photos)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.close()


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_cut_off_at_a4(
    run_dir: Path, page: Page, tmp_path: Path, language: Language
) -> None:
    page.goto(write_report(run_dir, 2, language, path=tmp_path / "r.html").as_uri())
    path = tmp_path / "r.pdf"
    page.pdf(path=path, prefer_css_page_size=True)
    facts = subprocess.run(["pdfinfo", path], capture_output=True, text=True, check=True).stdout
    assert "A4" in facts
    # Chromium shrinks a page whose content is too wide: at full size it fits the paper.
    page.emulate_media(media="print")
    page.set_viewport_size({"width": round((210 - 24) / 25.4 * 96), "height": 1000})
    too_wide = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && e.checkVisibility())
            .map((e) => e.tagName + "." + e.className)"""
    )
    assert too_wide == []
    text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True)
    joined = re.sub(r"\s", "", text.stdout)
    assert "x" * 300 in joined
    assert joined.count("显示完整/符合要求×2") == 2 * PHOTOS
    images = subprocess.run(["pdfimages", "-list", path], capture_output=True, check=True).stdout
    assert len(images.splitlines()) - 2 == 2 * PHOTOS


def test_shares_have_their_intervals_and_a_row_of_totals(run_dir: Path, page: Page) -> None:
    """0 of 12 is no promise of nothing: it is at most 24%."""
    page.goto(write_report(run_dir).as_uri())
    tiles = page.locator(".total").all_inner_texts()
    assert any(re.search(r"0\.0%\s+误放行率\s+0/12，至多 24\.2%", tile) for tile in tiles)
    whole = page.locator("tr.whole").first.locator("td").all_inner_texts()
    assert whole[:5] == ["合计", "13", "0", "12", "1"]
    assert whole[-1] == "0.0%（0/12，至多 24.2%）"
    assert whole[-2].startswith("92.3%（12/13，95% 区间 ")
    assert page.locator("article").first.locator("figure").count() == PHOTOS  # undecided, first
    assert PASS not in page.locator("article .badge").first.inner_text()
