"""Waiting times in the viewer of a group with very many photos, in a real browser.

    python -m bench.viewer --folder SOMEWHERE [--photos 300] [--rounds 7]

Writes a run with groups of many photos (of 12 megapixels, 8 different ones), starts
`shenhe review`, and drives Chromium, which must be installed. Each round opens another group
in a new window: nothing is in a cache. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.photos import phone_photo
from tests.browsers import ARGUMENTS
from tests.review.runs import Group, served, write_run

PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SINCE = "performance.now()"
SEEN = """() => { const strip = document.querySelector("#strip");
  const box = strip.getBoundingClientRect();
  const seen = [...strip.querySelectorAll("img")].filter((image) => {
    const at = image.getBoundingClientRect();
    return at.top < box.bottom && at.bottom > box.top && at.left < box.right && at.right > box.left;
  });
  return seen.length > 0 && seen.every((image) => image.naturalWidth); }"""
PHOTO = "() => document.querySelector('#stage img').naturalWidth > 0"
LARGE = """(photo) => { const image = document.querySelector("#stage img");
  return image.src.includes(`/${photo}/large.jpg`) && image.naturalWidth > 0; }"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    run_dir = _write_run(options.folder, options.photos, options.rounds)
    times: dict[str, list[float]] = {}
    with (
        served(run_dir, "--reviewer", "bench") as running,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=options.chromium, args=ARGUMENTS)
        for number in range(1, options.rounds + 1):
            for label, milliseconds in _round(browser, running.url, number).items():
                times.setdefault(label, []).append(milliseconds)
        browser.close()
    print("| | median, ms | slowest, ms |\n|---|---|---|")
    for label, found in times.items():
        print(f"| {label} | {statistics.median(found):.0f} | {max(found):.0f} |")


def _round(browser: Browser, url: str, number: int) -> dict[str, float]:
    """Open a group, its contact sheet and its next photo. Units: milliseconds."""
    page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 860})
    times = {}
    page.goto(f"/group/{number}", wait_until="commit")
    page.wait_for_function(f"() => {PAINTED}")
    page.wait_for_function(PHOTO)
    times["first photo"] = page.evaluate(SINCE)
    page.wait_for_function(SEEN)
    times["the thumbnails in sight"] = page.evaluate(SINCE)
    page.wait_for_function(LARGE, arg=1)
    times["the first photo, large"] = page.evaluate(SINCE)
    times["first paint"] = page.evaluate(PAINTED)
    page.wait_for_load_state("networkidle")
    times["next photo, fetched ahead"] = _timed(
        page, "ArrowRight", lambda: page.wait_for_function(LARGE, arg=2)
    )
    page.wait_for_load_state("networkidle")
    times["contact sheet, all in sight"] = _timed(page, "g", lambda: page.wait_for_function(SEEN))
    page.context.close()
    return {label: times[label] for label in ("first paint", *times)}


def _timed(page: Page, key: str, shown: Callable[[], object]) -> float:
    began = time.perf_counter()
    page.keyboard.press(key)
    shown()
    return (time.perf_counter() - began) * 1000


def _write_run(folder: Path, photos: int, groups: int) -> Path:
    """Write groups that have different photos: links to a few files."""
    files = [folder / "photos" / f"img-{number:03d}.jpeg" for number in range(8)]
    files[0].parent.mkdir(parents=True, exist_ok=True)
    for number, file in enumerate(files):
        if not file.exists():
            phone_photo(file, number)
    run_dir = folder / "run"
    for group in range(groups):
        links = [folder / f"group-{group}" / f"{number:03d}.jpeg" for number in range(photos)]
        links[0].parent.mkdir(exist_ok=True)
        for number, link in enumerate(links):
            if not link.is_symlink():
                link.symlink_to(files[number % len(files)])
        write_run(run_dir, [Group(f"QC-{group:03d}", mission=f"{group}")], links)
    return run_dir


if __name__ == "__main__":
    main()
