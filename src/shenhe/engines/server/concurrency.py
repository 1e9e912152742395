"""Concurrency of requests: an adaptive limit, and a circuit breaker while the server is gone."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from shenhe.errors import EngineError, spelled

log = logging.getLogger("shenhe.server")
START = 8
"""Concurrent requests at the start."""
CUT, CUT_INTERVAL_SECONDS = 0.7, 1.0
"""Factor on the limit when a server is overloaded, applied once in an interval at most."""
MAX_MISSES = 3
"""Failed connections in a row after which the server is probed."""
PROBE_SECONDS = (0.25, 10.0)
"""First and longest pause between two probes."""


class AdaptiveLimit:
    """A limit on concurrent requests that grows on success and shrinks on overload.

    Source: slow start, additive increase, multiplicative decrease, as in TCP.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._limit, self._active, self._slow_start = float(min(START, maximum)), 0, True
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last_cut = 0.0

    @property
    def current(self) -> int:
        """The limit at the moment."""
        return int(self._limit)

    async def __aenter__(self) -> Self:
        if self._active >= self.current or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn  # `_release` counts the request as active
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._release()
                raise
        else:
            self._active += 1
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def grow(self) -> None:
        """Note a success: the limit doubles per round in slow start, later it grows by one."""
        step = 1.0 if self._slow_start else 1 / self._limit
        self._limit = min(self.maximum, self._limit + step)

    def shrink(self) -> None:
        """Note an overload."""
        self._slow_start = False
        if time.monotonic() - self._last_cut >= CUT_INTERVAL_SECONDS:
            self._last_cut = time.monotonic()
            self._limit = max(1.0, self._limit * CUT)

    def _release(self) -> None:
        self._active -= 1
        while self._waiting and self._active < self.current:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._active += 1


class CircuitBreaker:
    """Holds all requests while the server is gone, and lets them go on when it is back."""

    def __init__(
        self,
        address: str,
        probe: Callable[[], Awaitable[str]],
        patience: float,
    ) -> None:
        """Take a `probe` that returns the server's problem, or nothing. Units: seconds."""
        self._address, self._probe, self._patience = address, probe, patience
        self._misses = 0
        self._closed = asyncio.Event()
        self._closed.set()
        self._dead: EngineError | None = None
        self._watch: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        """Wait while the server is gone.

        Raises: EngineError if it stays gone for longer than the patience.
        """
        await self._closed.wait()
        if self._dead:
            raise self._dead

    def note_reached(self) -> None:
        """Note a response of the server, whatever it said."""
        self._misses = 0

    def note_missed(self) -> bool:
        """Note a failed connection, and return whether the server may be gone."""
        self._misses += 1
        if self._misses >= MAX_MISSES and self._closed.is_set() and not self._dead:
            self._closed.clear()
            self._watch = asyncio.create_task(self._wait_until_back())
        return not self._closed.is_set()

    async def _wait_until_back(self) -> None:
        start, warned, pause = time.monotonic(), False, PROBE_SECONDS[0]
        while problem := await self._probe():
            gone = time.monotonic() - start
            if gone > self._patience:
                self._dead = EngineError(
                    f"{spelled('base_url', self._address)}: the server was gone for {gone:.0f} s:"
                    f" {problem}; start it, then run the same command again"
                )
                break
            if not warned:
                log.warning("%s is gone (%s): waiting for it", self._address, problem)
                warned = True
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(2 * pause, PROBE_SECONDS[1])
        else:
            if warned:
                log.warning("%s is back after %.0f s", self._address, time.monotonic() - start)
        self._misses = 0
        self._closed.set()
