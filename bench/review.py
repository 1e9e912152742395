"""Waiting times in the review app: a large run in a real browser.

    python -m bench.review --folder SOMEWHERE [--groups 10000] [--steps 40]

Writes the rows of a run whose groups have three photos each (of 12 megapixels, 24 different ones),
starts `shenhe review`, and drives Chromium, which must be installed. A page is ready when its text
and its first photo are shown; the first photo of the next group is fetched ahead, as in real use.
Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench.photos import phone_photo
from tests.browsers import ARGUMENTS
from tests.review.runs import FAIL, PASS, Group, served, write_run

SERVED = ("--reviewer", "bench")
LISTS = {
    "all states": "/?state=all",
    "by probability": "/?sort=p_pass",
    "by group, the last first": "/?sort=-group",
    "by time of decision": "/?state=all&sort=-decided",
    "a verdict, with its own progress": "/?verdict=通过",
    "the second look at 50 groups": "/bulk?" + "&".join(f"pick={n}" for n in range(1, 51)),
}
"""Pages of the queue by what they show."""
FIRST_THUMBNAILS = """() => [...document.querySelectorAll(".thumb img")].slice(0, 5)
    .every(image => image.complete && image.naturalWidth > 0)"""
SHOWN = """() => {
  const image = document.querySelector("#stage img");
  return image ? image.complete && image.naturalWidth > 0 : document.readyState === "complete";
}"""
LOOK = 700
"""How long a group is looked at, in which the photo of the next one is fetched. Units: ms."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    photos = [_photo(options.folder, number) for number in range(24)]
    run_dir = write_run(options.folder / "run", list(_groups(options.groups)), photos)
    _three_photos_each(run_dir, photos)
    print("| | median, ms | 95 of 100, ms |\n|---|---|---|")
    began = time.perf_counter()
    with (
        served(run_dir, *SERVED, "--audit-share", "0.05") as running,
        sync_playwright() as playwright,
    ):
        _print_times(
            "the command, until it answers; the index is made", [time.perf_counter() - began]
        )
        browser = playwright.chromium.launch(executable_path=options.chromium, args=ARGUMENTS)
        page = browser.new_page(base_url=running.url, viewport={"width": 1280, "height": 860})
        _print_times("first page", [_timed(page, lambda: page.goto("/"))])
        _print_times("first page again", [_timed(page, lambda: page.goto("/")) for _ in range(10)])
        _print_times(
            "search", [_timed(page, lambda: page.goto("/?text=未拧紧")) for _ in range(10)]
        )
        for name, address in LISTS.items():
            times = [_timed(page, partial(page.goto, address)) for _ in range(10)]
            _print_times(f"queue: {name}", times)
        _print_times("thumbnails of a page", [_thumbnails(page) for _ in range(10)])
        _print_times("nothing has changed", [_changes(page, "0") for _ in range(40)])
        page.goto("/group/1")
        _print_steps(page, options.steps, "")
        _print_times("what has changed, and progress", [_changes(page, "1") for _ in range(40)])
        for name, address in (("labels in doubt", "/?queue=labels"), ("blind audit", "/audit")):
            times = [_timed(page, partial(page.goto, address)) for _ in range(10)]
            _print_times(f"{name}: its queue", times)
            page.locator(".queue .row").first.click()
            page.wait_for_load_state("networkidle")
            _print_steps(page, options.steps, f"{name}: ")
        browser.close()
    began = time.perf_counter()
    with served(run_dir, *SERVED):
        _print_times("the command again", [time.perf_counter() - began])


def _photo(folder: Path, number: int) -> Path:
    path = folder / "photos" / f"img-{number:03d}.jpeg"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        phone_photo(path, number)
    return path


def _groups(count: int) -> list[Group]:
    reasons = ("图片_1中螺丝符合要求", "图片_2中螺丝未拧紧", "图片_3显示BBU无需安装挡风板")
    return [
        Group(
            f"QC-20261101-{number:07d}",
            (PASS, FAIL, None)[number % 7 % 3],
            ("pass", "fail", None)[number % 3],
            (number % 97) / 97,
            reasons[number % 3],
        )
        for number in range(count)
    ]


def _three_photos_each(run_dir: Path, photos: list[Path]) -> None:
    """Give each group three of the photos."""
    whole = ",".join(f'"{photo}"' for photo in photos)
    (path,) = (run_dir / "stage_a").glob("*.jsonl")
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        three = ",".join(f'"{photos[(3 * number + at) % len(photos)]}"' for at in range(3))
        row = line.replace(whole, three)
        start, end = row.index(',"图片_4"'), row.index('},"timestamp"')
        lines.append(row[:start] + row[end:] + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def _print_steps(page: Page, steps: int, prefix: str) -> None:
    """Print the times of going on, without a decision and with one."""
    nexts, decided = [], []
    for _ in range(steps):
        page.wait_for_timeout(LOOK)  # as a person looks at the photos
        nexts.append(_step(page, "n"))
        page.wait_for_timeout(LOOK)
        decided.append(_step(page, "2"))
    _print_times(f"{prefix}next group", nexts)
    _print_times(f"{prefix}a decision on disk, and the next group", decided)


def _step(page: Page, key: str) -> float:
    before = page.url

    def step() -> None:
        page.keyboard.press(key)
        page.wait_for_url(lambda url: url != before, wait_until="commit")

    return _timed(page, step)


def _thumbnails(page: Page) -> float:
    """Measure until the photos of a screen of the queue are shown."""
    began = time.perf_counter()
    page.goto("/")
    page.wait_for_function(FIRST_THUMBNAILS)
    return time.perf_counter() - began


def _changes(page: Page, after: str) -> float:
    began = time.perf_counter()
    page.request.get(f"/changes?after={after}")
    return time.perf_counter() - began


def _timed(page: Page, action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    page.wait_for_function(SHOWN)
    return time.perf_counter() - began


def _print_times(label: str, seconds: list[float]) -> None:
    late = sorted(seconds)[min(len(seconds) - 1, round(0.95 * len(seconds)))]
    percentile = f"{late * 1000:.0f}" if len(seconds) > 1 else ""
    print(f"| {label} | {statistics.median(seconds) * 1000:.0f} | {percentile} |", flush=True)


if __name__ == "__main__":
    main()
