"""How many requests are under way at once, and what happens while the server is gone."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from shenhe.errors import EngineError

log = logging.getLogger("shenhe.server")
START = 8
"""So many requests are under way at first."""
CUT, CUT_EVERY_SECONDS = 0.7, 1.0
"""What of its width the pace keeps when a server says that it is too much, at most so often."""
MISSES = 3
"""After so many failures to reach the server in a row it is asked whether it is there at all."""
PROBE_SECONDS = (0.25, 10.0)
"""Between two looks whether it is back: at first, and at most."""


class Pace:
    """A bound on the requests under way that widens while all is well, and narrows when told to.

    Source: slow start, additive increase, multiplicative decrease, as TCP has them.
    """

    def __init__(self, most: int) -> None:
        """Let at most so many be under way."""
        self.most = most
        self._width, self._busy, self._eager = float(min(START, most)), 0, True
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last_cut = 0.0

    @property
    def width(self) -> int:
        """How many may be under way now."""
        return int(self._width)

    async def __aenter__(self) -> Self:
        if self._busy >= self.width or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn  # the place is given by whoever leaves
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()
                raise
        else:
            self._busy += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def widen(self) -> None:
        """Take note of an answer: twice as wide a round at first, then wider by one."""
        step = 1.0 if self._eager else 1 / self._width
        self._width = min(self.most, self._width + step)

    def narrow(self) -> None:
        """Take note that the server is asked too much."""
        self._eager = False
        if time.monotonic() - self._last_cut >= CUT_EVERY_SECONDS:
            self._last_cut = time.monotonic()
            self._width = max(1.0, self._width * CUT)

    def _leave(self) -> None:
        self._busy -= 1
        while self._waiting and self._busy < self.width:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._busy += 1


class Breaker:
    """Stops everything while the server is gone, and goes on when it is back."""

    def __init__(
        self,
        address: str,
        there: Callable[[], Awaitable[str]],
        patience: float,
    ) -> None:
        """Ask by `there`, which gives what is wrong, or nothing. Units: patience in seconds."""
        self._address, self._there, self._patience = address, there, patience
        self._misses = 0
        self._closed = asyncio.Event()
        self._closed.set()
        self._dead: EngineError | None = None
        self._watch: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Wait while the server is gone.

        Raises: EngineError if it was gone for longer than patience lasts.
        """
        await self._closed.wait()
        if self._dead:
            raise self._dead

    def reached(self) -> None:
        """Take note that the server answered, whatever it said."""
        self._misses = 0

    def missed(self) -> bool:
        """Take note that it could not be reached; whether it may be gone altogether."""
        self._misses += 1
        if self._misses >= MISSES and self._closed.is_set() and not self._dead:
            self._closed.clear()
            self._watch = asyncio.create_task(self._until_back())
        return not self._closed.is_set()

    async def _until_back(self) -> None:
        began, told, pause = time.monotonic(), False, PROBE_SECONDS[0]
        while problem := await self._there():
            gone = time.monotonic() - began
            if gone > self._patience:
                self._dead = EngineError(
                    f"--base-url {self._address}: the server was gone for {gone:.0f} s: {problem};"
                    " start it, then run the same command again"
                )
                break
            if not told:
                log.warning("%s is gone (%s): waiting for it", self._address, problem)
                told = True
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(2 * pause, PROBE_SECONDS[1])
        else:
            if told:
                log.warning("%s is back after %.0f s", self._address, time.monotonic() - began)
        self._misses = 0
        self._closed.set()
