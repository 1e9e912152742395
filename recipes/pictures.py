"""The pictures of the README and the docs, of real pages in a real browser.

    python -m recipes.pictures    # docs/: report, review*, serve-*, sheet_*, team, verdicts

Runs the demo, captions its photos, and photographs its report, the review app and the service. The
curves are of a simulated run, which the docs say; the earlier run beside the demo is made from it.
Chromium, LibreOffice Calc and pdftoppm must be installed.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageFilter
from playwright.sync_api import Browser, Page, sync_playwright

from recipes.service_pictures import show_service
from shenhe.row_types import Evidence
from shenhe.values import EvidenceItem
from tests.browsers import ARGUMENTS
from tests.review.runs import FAIL, PASS, Group, served, write_run
from tests.review.team_site import running, team_site
from tests.team.crew import PASSWORD

DOCS = Path(__file__).parent.parent / "docs"
PHOTOS = Path(__file__).parent.parent / "src" / "shenhe" / "demo" / "photos"
DESK, TALL, PHONE = (1280, 860), (1280, 1100), (390, 844)
OFFICE, RENDERER = "soffice", "pdftoppm"
CHROMIUM = "/usr/bin/chromium"
COLOURS = (256, 128, 64, 48, 32)
"""Pages have few colours: a palette makes their pictures a third as large."""
MAX_BYTES = 150_000
"""Size of the largest picture: it gets fewer colours until it is no larger."""
NOISE = 14
"""How far a pixel of a photo may differ from those around it and be noise. Units: levels of 255."""
SHOWN = "QC-20261113-0000011"
"""The group of most pictures: it has two photos, objects, and a fault that is plain to see."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        run_dir = Path(folder) / "demo"
        _shenhe("demo", "--output-dir", str(run_dir))
        captions = str(run_dir / "captions.jsonl")
        model = ("--model", "demo", "--adapters", "demo", "--dtype", "float32")
        _shenhe("caption", str(PHOTOS), *model, "--output", captions)
        show(playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS), run_dir)


def show(browser: Browser, run_dir: Path) -> None:
    """Photograph all pages of the demo's run."""
    folder = run_dir.parent
    _shenhe("report", str(run_dir))
    curves = folder / "curves.html"
    simulated = write_run(folder / "simulated", _simulated(), [])
    _shenhe("evaluate", "verdicts", str(simulated), "--html", str(curves))
    with _page(browser, TALL) as page:
        page.goto((run_dir / "report" / "index.html").as_uri())
        _save(page, "report.png")
        page.goto(curves.as_uri())
        page.locator(".curves").first.scroll_into_view_if_needed()
        _save(page, "verdicts.png", part=".curves")
    before = _make_earlier_run(run_dir, folder / "before")
    with served(run_dir, "--reviewer", "李工", "--beside", str(before)) as site:
        _show_review(browser, site.url)
        _show_phone(browser, site.url)
    _show_sheets(run_dir, folder)
    _show_queues(browser, folder)
    _show_team(browser, folder / "team")
    show_service(browser, PHOTOS, folder / "service", _page, _save)
    browser.close()


def _show_review(browser: Browser, url: str) -> None:
    """Decide some groups; show the queue, a group in either theme, and two runs."""
    with _page(browser, DESK) as page:
        page.goto(f"{url}/group/2")
        for key in ("a", "a", "3", "a", "2", "a"):
            before = page.url
            page.keyboard.press(key)
            page.wait_for_url(lambda here, before=before: here != before)  # type: ignore[misc]
        page.goto(url)
        _save(page, "review_queue.png")
        _open(page, f"{url}/?state=all&text={SHOWN}")
        _save(page, "review.png")
        page.goto(f"{url}/compare")
        page.locator("a.row", has_text=SHOWN).click()
        _wait(page)
        _save(page, "review_compare.png")
    with _page(browser, DESK, locale="en-GB", color_scheme="dark") as page:
        _open(page, f"{url}/?state=all&text={SHOWN}")
        page.keyboard.press("z")
        _save(page, "review_dark.png")


def _show_phone(browser: Browser, url: str) -> None:
    """Show a group and its contact sheet on a phone, one beside the other."""
    with _page(browser, PHONE, has_touch=True, is_mobile=True) as page:
        _open(page, f"{url}/?state=all&text={SHOWN}")
        _save(page, "review_phone.png")
        first = Image.open(DOCS / "review_phone.png").convert("RGB")
        page.keyboard.press("g")
        _save(page, "review_phone.png")
        second = Image.open(DOCS / "review_phone.png").convert("RGB")
    both = Image.new("RGB", (first.width + second.width + 24, first.height), "white")
    both.paste(first, (0, 0))
    both.paste(second, (first.width + 24, 0))
    both.save(DOCS / "review_phone.png")
    _reduce(DOCS / "review_phone.png")


def _show_team(browser: Browser, folder: Path) -> None:
    """Show who has which groups, as a lead sees it."""
    photos = sorted(PHOTOS.rglob("img-*.jpeg"))[:2]
    with running(team_site(folder, photos)) as url, _page(browser, DESK) as page:
        form: dict[str, str | float | bool] = {"name": "主任", "password": PASSWORD}
        page.context.request.post(f"{url}/sign-in", form=form, headers={"Origin": url})
        page.goto(f"{url}/team/assignments")
        _save(page, "team.png")


def _make_earlier_run(run_dir: Path, folder: Path) -> Path:
    """Make an earlier run from a run: it passed what is failed now, and saw fewer objects."""
    shutil.copytree(run_dir, folder, ignore=shutil.ignore_patterns("review", "report"))
    for path in (*(folder / "stage_b").glob("*.jsonl"), *(folder / "stage_a").glob("*.jsonl")):
        if "failures" not in path.name:
            _change_rows(path, _before)
    _change_rows(folder / "captions.jsonl", _with_fewer_objects)
    return folder


def _before(row: dict[str, Any]) -> None:
    if row.get("verdict") == FAIL:
        row |= {"verdict": PASS, "p_pass": 0.71, "reason": "图片_1显示符合要求"}
    lines = row.get("per_image", {})
    row |= {"per_image": {k: v.partition("，")[0] for k, v in lines.items()}} if lines else {}


def _with_fewer_objects(row: dict[str, Any]) -> None:
    for objects in row["caption"].values():
        if len(objects) > 1:
            objects.popitem()


def _change_rows(path: Path, change: Any) -> None:
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for row in rows:
        change(row)
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), "utf-8")


def _open(page: Page, address: str) -> None:
    """Open the first group of a queue."""
    page.goto(address)
    page.locator(".queue .row").first.click()
    _wait(page)
    page.goto(page.url.partition("?")[0])  # whose progress is that of all groups
    _wait(page)


def _wait(page: Page) -> None:
    page.wait_for_load_state("networkidle")


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
    with served(run_dir, *options) as site, _page(browser, DESK) as page:
        page.goto(f"{site.url}/group/1?queue=labels")
        page.wait_for_load_state("networkidle")
        page.locator("#evidence tbody tr").first.hover()
        _save(page, "review_labels.png")
        page.goto(f"{site.url}/audit")
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
def _page(browser: Browser, size: tuple[int, int], **options: Any) -> Iterator[Page]:
    width, height = size
    options = {"locale": "zh-CN", "timezone_id": "Asia/Shanghai"} | options
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
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
        whole = _without_noise(picture.convert("RGB"))
    for colours in COLOURS:
        whole.quantize(colours, kmeans=3, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= MAX_BYTES:
            break
    print(path, path.stat().st_size)


def _without_noise(picture: Image.Image) -> Image.Image:
    """Even out what differs little from its surroundings: edges and texts stay."""
    even = picture.filter(ImageFilter.MedianFilter(5))
    differs = ImageChops.difference(picture, even).convert("L").point(lambda d: 255 * (d > NOISE))
    return Image.composite(picture, even, differs)


def _shenhe(*arguments: str) -> None:
    # 1: all done, but the demo has groups and photos that cannot be.
    code = subprocess.run([sys.executable, "-m", "shenhe", *arguments], check=False).returncode
    if code not in (0, 1):
        raise SystemExit(code)


if __name__ == "__main__":
    main()
