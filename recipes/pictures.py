"""The pictures of the README and the docs, of real pages in a real browser.

    python -m recipes.pictures    # docs/: report, review*, sheet_*, verdicts

Runs the demo, captions its photos, and photographs its report and the review app; the curves are of
a simulated run, which the docs say. Chromium, LibreOffice Calc and pdftoppm must be installed.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from shenhe.row_types import Evidence
from shenhe.values import EvidenceItem
from tests.browsers import ARGUMENTS
from tests.review.runs import FAIL, PASS, Group, served, write_run

DOCS = Path(__file__).parent.parent / "docs"
PHOTOS = Path(__file__).parent.parent / "src" / "shenhe" / "demo" / "photos"
DESK, TALL, PHONE = (1280, 860), (1280, 1100), (390, 844)
OFFICE, RENDERER = "soffice", "pdftoppm"
COLOURS = 256
"""Pages have few colours: a palette makes their pictures a third as large."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run_dir = Path(folder) / "demo"
        _shenhe("demo", "--output-dir", str(run_dir))
        captions = str(run_dir / "captions.jsonl")
        model = ("--model", "demo", "--adapters", "demo", "--dtype", "float32")
        _shenhe("caption", str(PHOTOS), *model, "--output", captions)
        _shenhe("report", str(run_dir))
        curves = Path(folder) / "curves.html"
        simulated = write_run(Path(folder) / "simulated", _simulated(), [])
        _shenhe("evaluate", "verdicts", str(simulated), "--html", str(curves))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        with _page(browser, TALL) as page:
            page.goto((run_dir / "report" / "index.html").as_uri())
            _save(page, "report.png")
            page.goto(curves.as_uri())
            page.locator(".curves").first.scroll_into_view_if_needed()
            _save(page, "verdicts.png", part=".curves")
        with served(run_dir, "--reviewer", "李工") as found:
            with _page(browser, DESK) as page:
                _review(page, found.url)
            with _page(browser, PHONE) as page:
                page.goto(f"{found.url}/group/5")
                page.wait_for_load_state("networkidle")
                _save(page, "review_phone.png")
        _show_sheets(run_dir, Path(folder))
        _show_queues(browser, Path(folder))
        browser.close()


def _review(page: Page, url: str) -> None:
    """Decide some groups, then show the queue and a group with its overlays."""
    page.goto(f"{url}/group/2")
    for key in ("a", "a", "3", "a", "2", "a"):
        before = page.url
        page.keyboard.press(key)
        page.wait_for_url(lambda here, before=before: here != before)  # type: ignore[misc]
    page.goto(url)
    _save(page, "review_queue.png")
    page.goto(f"{url}/group/19")
    page.wait_for_load_state("networkidle")
    _save(page, "review.png")


def _show_sheets(run_dir: Path, folder: Path) -> None:
    """Show a page of the acceptance sheet with photos, and the totals of the workbook."""
    for form in ("pdf", "xlsx"):
        path = str(folder / f"sheet.{form}")
        _shenhe("report", str(run_dir), "--format", form, "--lang", "zh", "--output", path)
    to_pdf = ("--headless", "--convert-to", "pdf", "--outdir", str(folder / "printed"))
    subprocess.run([OFFICE, *to_pdf, str(folder / "sheet.xlsx")], check=True)
    for printed, page, name in (
        (folder / "sheet.pdf", 3, "sheet_pdf.png"),
        (folder / "printed" / "sheet.pdf", 2, "sheet_xlsx.png"),
    ):
        pages = ("-r", "80", "-f", str(page), "-singlefile", "-png")
        subprocess.run([RENDERER, *pages, str(printed), str(DOCS / name[:-4])], check=True)
        _reduce(DOCS / name)


def _show_queues(browser: Browser, folder: Path) -> None:
    """Show a label in doubt with its evidence, and a group as the blind audit shows it."""
    photos = sorted((PHOTOS / "BBU接地线检查").rglob("img-*.jpeg"))[:4]
    items = [
        EvidenceItem("机柜处接地螺丝", "need", "seen", right=("图片_1", "图片_3")),
        EvidenceItem("地排处接地螺丝", "need", "missing"),
        EvidenceItem("电线", "need", "doubtful", doubtful=("图片_4",)),
        EvidenceItem("螺丝 未拧紧", "fault", "settled", right=("图片_3",), wrong=("图片_2",)),
    ]
    held = Group(
        *("QC-20261120-0000041", None, "fail", 0.981, "evidence_missing: 缺少: 地排处接地螺丝"),
        mission="BBU接地线检查",
        why=("evidence_missing",),
        ruling=PASS,
        evidence=Evidence(rules="0" * 16, items=items),
    )
    passed = Group("QC-20261120-0000042", label="fail", p_pass=0.9, mission=held.mission)
    run_dir = write_run(folder / "queues", [held, passed], photos)
    options = ("--reviewer", "李工", "--audit-share", "1")
    with served(run_dir, *options) as running, _page(browser, TALL) as page:
        page.goto(f"{running.url}/group/1?queue=labels")
        page.wait_for_load_state("networkidle")
        page.locator("#evidence tbody tr").first.hover()
        _save(page, "review_labels.png")
        page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
        page.goto(f"{running.url}/audit")
        page.click(".begin")
        page.wait_for_load_state("networkidle")
        _save(page, "review_audit.png")


def _simulated() -> list[Group]:
    """Make 4,000 groups, three in ten of them bad, of a model that is too unsure of itself."""
    draw = random.Random(3)
    groups = []
    for number in range(4000):
        bad = draw.random() < 0.3
        p_pass = draw.betavariate(1.2, 4) if bad else draw.betavariate(6, 1.2)
        label, verdict = "fail" if bad else "pass", PASS if p_pass >= 0.5 else FAIL
        groups.append(Group(f"g{number}", verdict, label, p_pass))  # type: ignore[arg-type]
    return groups


@contextmanager
def _page(browser: Browser, size: tuple[int, int]) -> Iterator[Page]:
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
    yield context.new_page()
    context.close()


def _save(page: Page, name: str, part: str = "") -> None:
    page.wait_for_timeout(300)  # photos are there; they are being painted
    path = DOCS / name
    if part:
        page.locator(part).first.screenshot(path=path)
    else:
        page.screenshot(path=path)
    _reduce(path)


def _reduce(path: Path) -> None:
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS, kmeans=3).save(path, optimize=True)
    print(path)


def _shenhe(*arguments: str) -> None:
    # 1: all done, but the demo has groups and photos that cannot be.
    code = subprocess.run([sys.executable, "-m", "shenhe", *arguments], check=False).returncode
    if code not in (0, 1):
        raise SystemExit(code)


if __name__ == "__main__":
    main()
