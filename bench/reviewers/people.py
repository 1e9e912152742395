"""People in browsers: each signs in and presses keys, as a person does who reads what pages say."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import parse_qs

from playwright.async_api import Browser, Page
from playwright.async_api import Error as BrowserError
from playwright.async_api import TimeoutError as PageTimeoutError

from bench.reviewers.servers import PASSWORD, Server

SECONDS = 8
"""How long a person waits for a page before looking at it again."""
SETTLED = """before => location.href !== before
  || [...document.querySelectorAll("[role=alert]")].some((told) => !told.hidden)"""
LISTENING = """{ const send = window.fetch;
window.fetch = async (address, options) => {
  const answer = await send(address, options);
  if (options?.body) await window.heard(
    String(address), answer.status, String(options.body), await answer.clone().text());
  return answer;
}; }"""
"""Tells what the page's script is answered, before the script reads it and leaves the page."""
Act = Literal["decision", "second", "settled"]


class Work(NamedTuple):
    """A kind of work: its list, and in it the links to groups that wait, the pages of groups, what
    such a page shows where somebody else has the group, and where a page counts what waits.
    """

    act: Act
    list: str
    rows: str
    page: str
    taken: str
    waiting: str = ""


DECIDE = Work("decision", "/?state=open", ".queue .row", "/group/", "#current, #held:visible")
SECOND = Work("second", "/second", "a.begin", "/second/", "#own, #closed, #second-held", "#waiting")
SETTLE = Work("settled", "/team/disagreements", ".disputes h2 a", "/group/", "#held:visible")


def choose(act: Act, number: int) -> str:
    """Choose by the number of a group: 不通过 for each fifth one; whoever is asked second says the
    opposite of each fourth one, and the lead decides 不通过.
    """
    if act == "settled":
        return "不通过"
    return "不通过" if (number % 5 == 0) != (act == "second" and number % 4 == 0) else "通过"


@dataclass
class Heard:
    """What people were told: which act on which group was stored, by name and key of the group."""

    acts: dict[Act, list[tuple[str, str]]] = field(
        default_factory=lambda: {"decision": [], "second": [], "settled": []}
    )
    seconds: dict[Act, list[float]] = field(
        default_factory=lambda: {"decision": [], "second": [], "settled": []}
    )
    not_saved: int = 0
    conflicts: int = 0

    def note(self, name: str, path: str, status: int, body: str, answer: str) -> None:
        """Note what a page's script was answered: a group that was stored leads to the next one."""
        if status != 200 or not re.match(r"/(group|second)/", path):
            return
        form, to = parse_qs(body), json.loads(answer)["next"]
        if to.startswith("/second") and (path.startswith("/group/") or "second_closed" in to):
            self.conflicts += 1  # a colleague's, or the same act again after its answer was lost
            return
        is_second = path.startswith("/second/")
        act: Act = "settled" if "adjudicates" in form else "second" if is_second else "decision"
        self.acts[act].append((name, form["key"][0]))


class Person:
    """A person with an account, in a browser of his own, at one of the servers."""

    def __init__(self, name: str, server: Server, heard: Heard, up: asyncio.Event) -> None:
        self._name, self._server, self._heard, self._up = name, server, heard, up
        self._page: Page

    async def sign_in(self, browser: Browser) -> None:
        """Open a window and sign in."""
        context = await browser.new_context(locale="zh-CN", base_url=self._server.address)
        self._page = page = await context.new_page()
        await page.expose_function(
            "heard",
            lambda address, *answer: self._heard.note(
                self._name, address.removeprefix(self._server.address), *answer
            ),
        )
        await page.add_init_script(LISTENING)
        await page.goto("/sign-in")
        await page.fill("#name", self._name)
        await page.fill("#password", PASSWORD)
        async with page.expect_navigation():
            await page.click("main button")
        assert page.url == f"{self._server.address}/", await page.inner_text("main")

    async def work(self, work: Work) -> None:
        """Do work until none is left."""
        await self._page.goto(work.list)
        is_over = False
        while not is_over:
            try:
                is_over = await self._step(work)
            except BrowserError:  # the server was killed while a page was on its way
                await self._up.wait()
                await asyncio.sleep(0.2)
                with suppress(BrowserError):
                    await self._page.goto(work.list)

    async def _step(self, work: Work) -> bool:
        """Do what the page that is shown asks for; say whether no work is left."""
        page = self._page
        await page.wait_for_load_state()
        if not page.url.removeprefix(self._server.address).startswith(work.page):
            return await self._open_first(work)
        if await page.locator(work.taken).count():
            following = page.locator(".moves a[rel=next]")
            if not await following.count():
                await asyncio.sleep(0.2)
                return await self._open_first(work)
            async with page.expect_navigation():
                await following.click()
            return False
        await self._judge(work)
        return False

    async def _open_first(self, work: Work) -> bool:
        """Open the first group of the list; say whether none is left, for nobody."""
        await self._page.goto(work.list)
        assert self._page.url == self._server.address + work.list, self._page.url
        rows = self._page.locator(work.rows)
        if await rows.count():
            async with self._page.expect_navigation():
                await rows.first.click()
            return False
        if not work.waiting or not int(
            re.sub(r"\D", "", await self._page.inner_text(work.waiting)) or 0
        ):
            return True
        await asyncio.sleep(0.5)  # colleagues have those that wait
        return False

    async def _judge(self, work: Work) -> None:
        """Judge the group that is shown, and wait until the page says what came of it."""
        page = self._page
        number = int((await page.inner_text("h1 bdi")).rpartition("-")[2])
        key = "2" if choose(work.act, number) == "不通过" else "1"
        before, began = page.url, time.perf_counter()
        await page.keyboard.press(key)
        with suppress(PageTimeoutError):
            await page.wait_for_function(SETTLED, arg=before, timeout=SECONDS * 1000)
        if page.url != before:
            self._heard.seconds[work.act].append(time.perf_counter() - began)
        elif await page.locator("#not-saved:visible").count():
            self._heard.not_saved += 1
            await self._up.wait()
        elif await page.locator("[role=alert]:visible").count():
            self._heard.conflicts += 1
