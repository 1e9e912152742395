"""The whole loop of a promise: run, label, promise, run with it, audit, watch, and an alarm.

    python examples/promise_loop/loop.py promise-loop

Everything is real: the bundled checkpoint, rendered photos, an inspector in Chromium, an adapter
that is trained to overlook faults. Some minutes on two cores; needs the `dev` extra and Chromium.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from recipes.demo_checkpoint.draw import draw
from recipes.demo_checkpoint.groups import make_group
from shenhe.values import PASS

MISSION = "BBU接地线检查"
LABELLED, WEEKLY = 240, 120
"""Groups of the history, of which more than the 59 that a promise takes are bad; groups a week."""
AUDIT_SHARE = "0.4"
KEYS = {True: "1", False: "2"}
SHENHE = (sys.executable, "-m", "shenhe")
TRAINING = Path(__file__).with_name("changed_model.py")
Truth = dict[str, bool]
"""Whether each group is sound, by its id: what an inspector sees on the photos."""


def main() -> None:
    """Go through the loop once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True)
    demo, promise = ("--model", "demo", "--adapters", "demo"), folder / "promise.json"

    say("1. Old groups, labelled by people: photos in label folders, run without a threshold")
    photos = folder / "photos"
    render(photos / "history", range(LABELLED), labelled=True)
    history = run(folder / "history", photos / "history", *demo, codes=(0, 1))

    say("2. What the lines allow, and a promise")
    shenhe("evaluate", "evidence", history)
    shenhe("promise", history, "--max-false-pass", "0.05", "--output", promise)

    say("3. A week of new groups, judged with the promise; a share of what passes is audited blind")
    truth = render(photos / "week-1", range(1000, 1000 + WEEKLY), labelled=False)
    promised = ("--promise", promise)
    week_1 = run(folder / "week-1", photos / "week-1", *demo, *promised, codes=(0, 1))
    audit(week_1, truth)
    watch = ("--promise", promise, "--html", folder / "watch.html")
    shenhe("watch", week_1, *watch)

    say("4. Somebody trains a new adapter, on rows in which faults were forgotten")
    merged, careless = folder / "merged", folder / "careless"
    shenhe("merge", *demo, "--output-dir", merged)
    lines = history / "stage_a" / f"{MISSION}.jsonl"
    execute(sys.executable, TRAINING, merged, lines, careless)
    changed = ("--model", merged, "--adapters", careless)

    say("5. The promise refuses it")
    truth = render(photos / "week-2", range(2000, 2000 + WEEKLY), labelled=False)
    run(folder / "refused", photos / "week-2", *changed, *promised, codes=(2,))

    say("6. It is used all the same, without the promise; the audit finds out")
    week_2 = run(folder / "week-2", photos / "week-2", *changed, codes=(0, 1))
    audit(week_2, truth)
    shenhe("watch", week_1, week_2, *watch, codes=(1,))
    say(f"The alarm: {folder / 'watch.html'}")


def render(tree: Path, numbers: range, *, labelled: bool) -> Truth:
    """Render groups into a photo tree, and return which are sound."""
    truth = {}
    for number in numbers:
        made = make_group(MISSION, f"loop/{number}")
        group_id = f"QC-20261201-{number:07d}"
        truth[group_id] = made.judgement.verdict == PASS
        label = {True: "审核通过", False: "审核不通过"}[truth[group_id]] if labelled else ""
        group = tree / MISSION / label / group_id
        group.mkdir(parents=True)
        for index, scene in enumerate(made.scenes, 1):
            draw(scene).save(group / f"img-{index:03d}.jpeg", quality=80)
    print(f"{len(truth)} groups, {list(truth.values()).count(False)} of them bad")
    return truth


def run(output: Path, tree: Path, *options: str | Path, codes: Sequence[int]) -> Path:
    """Run both stages over a tree, and return the run's folder."""
    shenhe("run", *options, "--data-root", tree, "--output-dir", output, codes=codes)
    return output


def audit(run_dir: Path, truth: Truth) -> None:
    """Look at every group that the audit draws, in a browser, blind, and decide by the photos."""
    with served(run_dir) as address, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(locale="zh-CN")
        page.goto(f"{address}/audit")
        decided = 0
        while group_id := next_group(page):
            with page.expect_navigation():
                page.keyboard.press(KEYS[truth[group_id]])
            decided += 1
        browser.close()
    print(f"{decided} groups decided blind")


def next_group(page: Page) -> str:
    """Return the id of the group that the page asks about; empty when all are decided."""
    if page.locator("a.begin").count():
        page.locator("a.begin").click()
    if not page.locator("#decide").count():
        return ""
    found = re.search(r"QC-\d{8}-\d{7}", page.locator("h1").inner_text())
    return found[0] if found else ""


@contextmanager
def served(run_dir: Path) -> Iterator[str]:
    """Serve the review of a run, with an audit, and yield its address."""
    command = [*SHENHE, "review", str(run_dir), "--port", "0", "--reviewer", "质检员"]
    command += ["--audit-share", AUDIT_SHARE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            addresses = (re.search(r"http://\S+", line) for line in server.stdout)
            yield next(match for match in addresses if match)[0].rstrip("/")
        finally:
            server.terminate()


def shenhe(*words: str | Path, codes: Sequence[int] = (0,)) -> None:
    """Run a command of shenhe, and check its exit code."""
    execute(*SHENHE, *words, codes=codes)


def execute(*words: str | Path, codes: Sequence[int] = (0,)) -> None:
    """Run a command, and check its exit code."""
    print("$", *("shenhe" if word == "-m" else word for word in words[1:] if word != "shenhe"))
    sys.stdout.flush()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = subprocess.run([str(word) for word in words], env=environment, check=False).returncode
    if code not in codes:
        raise SystemExit(f"exit code {code}, expected {' or '.join(map(str, codes))}")


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
