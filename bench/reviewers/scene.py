"""What happens: people decide, others judge a share of it again, a lead decides between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from playwright.async_api import Browser, async_playwright

from bench.reviewers.people import DECIDE, SECOND, SETTLE, Act, Heard, Person, Work
from bench.reviewers.servers import Server
from tests.browsers import ARGUMENTS

INSPECTORS = ("李工", "王工", "赵工")
LEAD = "主任"


@dataclass
class Scene:
    """A play of a team; `kills` are the acts in the middle of which the first server is killed.

    `count_drawn` says how many decided groups another person is asked about.
    """

    servers: list[Server]
    groups: int
    kills: tuple[Act, ...]
    count_drawn: Callable[[], int]
    heard: Heard = field(default_factory=Heard)
    away: list[float] = field(default_factory=list)
    """How long the first server was away, each time. Units: seconds."""
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self, chromium: str) -> None:
        """Let all people work, each in a browser of his own."""
        self.up.set()
        async with async_playwright() as playwright, AsyncExitStack() as stack:

            async def open_browser() -> Browser:
                opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
                return await stack.enter_async_context(await opened)

            people = [
                Person(name, self.servers[number % 2], self.heard, self.up)
                for number, name in enumerate((*INSPECTORS, LEAD))
            ]
            browsers = await asyncio.gather(*(open_browser() for _ in people))
            await asyncio.gather(
                *(person.sign_in(browser) for person, browser in zip(people, browsers, strict=True))
            )
            inspectors, lead = people[:-1], people[-1]
            await self._work_together(inspectors, DECIDE, self.groups // 2)
            drawn = await asyncio.to_thread(self.count_drawn)
            await self._work_together(inspectors, SECOND, drawn // 2)
            await lead.work(SETTLE)

    async def _work_together(self, people: list[Person], work: Work, half: int) -> None:
        killing = asyncio.create_task(self._kill_at(work.act, half))
        try:
            await asyncio.gather(*(person.work(work) for person in people))
        finally:
            if self.up.is_set():
                killing.cancel()
            await asyncio.wait([killing])

    async def _kill_at(self, act: Act, count: int) -> None:
        """Kill the first server when so many acts are stored, and start it again."""
        if act not in self.kills:
            return
        while len(self.heard.acts[act]) < count:
            await asyncio.sleep(0.005)
        self.up.clear()
        began = time.perf_counter()
        self.servers[0].kill()
        self.servers[0].launch()
        await asyncio.to_thread(self.servers[0].wait)
        self.away.append(time.perf_counter() - began)
        self.up.set()
