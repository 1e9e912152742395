"""Three reviewers in three browsers, two servers on one PostgreSQL, one of them killed midway.

    python -m bench.reviewers --folder SOMEWHERE [--groups 300] [--database URL]

Writes a run, copies it as a second machine would have it, and starts a server on each. Three people
decide in Chromium, by keys, until no group is left; when half is decided, the first server is
killed (-9) and started again. Then the database is compared with what the browsers were told: exit
code 1 if a decision is lost, or a group was decided twice. Without --database, Debian's PostgreSQL
is started for it. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from playwright.async_api import Browser, Page, Response, async_playwright
from playwright.async_api import Error as BrowserError
from playwright.async_api import TimeoutError as PageTimeoutError

from shenhe.database import identify_run
from shenhe.rows.decision_rows import Decision
from shenhe.team import SharedDecisions, open_database
from tests.browsers import ARGUMENTS
from tests.review.runs import Group, write_run
from tests.servers.postgres import running_postgres
from tests.servers.starting import free_port

PHOTOS = Path(__file__).parent.parent / "src" / "shenhe" / "demo" / "photos"
REVIEWERS = ("李工", "王工", "赵工")
SECONDS = 8
"""How long a reviewer waits for a page before looking at it again."""
SETTLED = """before => location.href !== before
  || [...document.querySelectorAll("[role=alert]")].some((told) => !told.hidden)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=300)
    parser.add_argument("--database", default="")
    parser.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium")
    options = parser.parse_args()
    with ExitStack() as stack:
        url = options.database or stack.enter_context(running_postgres()).new_database()
        servers = [
            stack.enter_context(Server(run_dir, url))
            for run_dir in _machines(options.folder, options.groups)
        ]
        scene = Scene(servers, options.groups)
        began = time.perf_counter()
        asyncio.run(scene.play(options.chromium))
        seconds = time.perf_counter() - began
        database = open_database(servers[1].run_dir, url)
        written = SharedDecisions(servers[1].run_dir, database).trail(count=100_000)
        database.close()
    sys.exit(_report(scene, written, seconds))


def _machines(folder: Path, groups: int) -> list[Path]:
    """Write the run, and a copy of it with the same identity."""
    photo = next(iter(sorted(PHOTOS.rglob("img-*.jpeg"))))
    names = [Group(f"QC-20261101-{number:07d}") for number in range(1, groups + 1)]
    first = write_run(folder / "first", names, [photo])
    identify_run(first)
    return [first, Path(shutil.copytree(first, folder / "second"))]


class Server:
    """`shenhe review` on a port that it keeps, also after it was killed."""

    def __init__(self, run_dir: Path, url: str) -> None:
        self.run_dir, self._url, self._port = run_dir, url, free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "shenhe", "review", str(self.run_dir)),
            *("--port", str(self._port), "--reviewer", "nobody"),
        ]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"SHENHE_DATABASE": self._url},
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert re.search(r"http://\S+", line), line

    def kill(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()


@dataclass
class Scene:
    """What happened: who was told that which group is decided, and how long each step took."""

    servers: list[Server]
    groups: int
    acknowledged: list[tuple[str, str]] = field(default_factory=list)
    conflicts: int = 0
    not_saved: int = 0
    seconds: list[float] = field(default_factory=list)
    away: float = 0.0
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self, chromium: str) -> None:
        """Let three people work, and kill a server when half of the groups is decided."""
        self.up.set()
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            killing = asyncio.create_task(self._kill_midway())
            people = (
                self._review(browser, name, self.servers[number % 2])
                for number, name in enumerate(REVIEWERS)
            )
            await asyncio.gather(*people)
            await killing
            await browser.close()

    async def _kill_midway(self) -> None:
        while len(self.acknowledged) < self.groups // 2:
            await asyncio.sleep(0.005)
        self.up.clear()
        began = time.perf_counter()
        self.servers[0].kill()
        await asyncio.sleep(0.3)
        await asyncio.to_thread(self.servers[0].start)
        self.away = time.perf_counter() - began
        self.up.set()

    async def _review(self, browser: Browser, name: str, server: Server) -> None:
        context = await browser.new_context(locale="zh-CN", base_url=server.address)
        page = await context.new_page()
        page.on("response", lambda answer: self._note(name, answer))
        await page.goto("/name")
        await page.fill("#reviewer", name)
        await page.click("main button")
        await page.wait_for_load_state()
        await page.goto("/?state=open")
        async with page.expect_navigation():
            await page.locator(".queue .row").first.click()
        number = 0
        while "told=end" not in page.url or "told=end_held" in page.url:
            try:
                await self._step(page, "2" if number % 5 == 4 else "1")
            except BrowserError:  # its server was killed while a page was on its way
                await self.up.wait()
                await asyncio.sleep(0.2)
                with suppress(BrowserError):
                    await page.goto("/group/1?state=open")
            number += 1
        await context.close()

    async def _step(self, page: Page, key: str) -> None:
        """Decide the group that is shown, as a person does who reads what the page says."""
        if "/group/" not in page.url:  # colleagues have the rest
            await asyncio.sleep(0.5)
            await page.goto("/group/1?state=open")
        await page.wait_for_load_state()
        if await page.locator("#current").count() or await page.locator("#held:visible").count():
            # It is decided, or a colleague has it: the next one. At the end there is none.
            following = page.locator(".moves a[rel=next]")
            if not await following.count():
                await page.goto("/?state=open")
                rows = page.locator(".queue .row")
                if not await rows.count():
                    await page.goto("/?told=end")
                    return
                following = rows.first
            async with page.expect_navigation():
                await following.click()
            return
        before, began = page.url, time.perf_counter()
        await page.keyboard.press(key)
        with suppress(PageTimeoutError):
            await page.wait_for_function(SETTLED, arg=before, timeout=SECONDS * 1000)
        if page.url != before:
            self.seconds.append(time.perf_counter() - began)
        elif await page.locator("#not-saved:visible").count():
            self.not_saved += 1
            await self.up.wait()
        elif await page.locator("[role=alert]:visible").count():
            self.conflicts += 1

    def _note(self, name: str, answer: Response) -> None:
        is_decision = answer.request.method == "POST" and "/group/" in answer.url
        if is_decision and answer.status == 200:
            key = parse_qs(answer.request.post_data or "")["key"][0]
            self.acknowledged.append((name, key))


def _report(scene: Scene, written: list[Decision], seconds: float) -> int:
    """Print what was found, and give the exit code."""
    stored = [(each.reviewer, each.key) for each in written]
    keys = [key for _, key in stored]
    lost = len(set(scene.acknowledged) - set(stored))
    twice = len(keys) - len(set(keys))
    times = sorted(scene.seconds)
    rows = {
        "groups": scene.groups,
        "decisions in the database": len(written),
        "acknowledged to browsers": len(scene.acknowledged),
        "acknowledged and lost": lost,
        "groups decided twice": twice,
        "groups left undecided": scene.groups - len(set(keys)),
        "stored, its answer lost with the server": len(set(stored) - set(scene.acknowledged)),
        "told by the page: not saved": scene.not_saved,
        "told by the page: a colleague has decided it": scene.conflicts,
        "seconds that the killed server was away": round(scene.away, 1),
        "a decision on disk and the next group, median, ms": round(1000 * statistics.median(times)),
        "the same, 95 of 100, ms": round(1000 * times[int(0.95 * len(times))]),
        "seconds, all": round(seconds),
    }
    print("| | |\n|---|---|", flush=True)
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    for name in REVIEWERS:
        print(f"| decided by {name} | {sum(who == name for who, _ in stored)} |")
    return int(bool(lost or twice or len(set(keys)) != scene.groups))


if __name__ == "__main__":
    main()
