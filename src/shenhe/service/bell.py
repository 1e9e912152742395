"""The bell: whoever waits for results is woken when one is committed, by whichever process.

The database is asked only while somebody waits, and once for all who do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi.concurrency import run_in_threadpool
from sqlalchemy import func, select

from shenhe.errors import DatabaseAwayError, RunError
from shenhe.service.store import JobStore
from shenhe.service.tables import JOBS

POLL_SECONDS: Final = 0.05
AWAY_SECONDS: Final = 1.0
"""How long to wait where the database does not answer."""


class Bell:
    """Tells of the number of the last result; belongs to one event loop.

    Example:
        async with bell.listening():
            number = await bell.wait(number, seconds=20)

    """

    def __init__(self, read_last: Callable[[], int]) -> None:
        """Read the number of the last result by a function."""
        self._read_last = read_last
        self._number, self._listeners = -1, 0
        self._changed = asyncio.Event()
        self._poll: asyncio.Task[None] | None = None
        self.is_closing = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen; gives the number of the last result so far.

        Raises: DatabaseAwayError; RunError.
        """
        self._listeners += 1
        try:
            number = await run_in_threadpool(self._read_last)
            if self._poll is None:
                self._number = number
                self._poll = asyncio.create_task(self._watch())
            yield number
        finally:
            self._listeners -= 1
            if not self._listeners and self._poll is not None:
                self._poll.cancel()
                self._poll = None

    async def wait(self, number: int, seconds: float) -> int:
        """Wait until there is a result after a number, or so long; gives the last number."""
        if self._number <= number and not self.is_closing and seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    while self._number <= number and not self.is_closing:
                        await self._changed.wait()
            except TimeoutError:
                pass
        return max(self._number, number)

    def close(self) -> None:
        """Let everybody who waits go, now and from now on: the service ends."""
        self.is_closing = True
        self._ring()

    def _ring(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(self) -> None:
        while not self.is_closing:
            await asyncio.sleep(POLL_SECONDS)
            try:
                number = await run_in_threadpool(self._read_last)
            except (DatabaseAwayError, RunError):
                await asyncio.sleep(AWAY_SECONDS)
                continue
            if number > self._number:
                self._number = number
                self._ring()
        self._ring()


def read_last_end(store: JobStore) -> int:
    """Read the number of the last result; 0 where there is none.

    Raises: DatabaseAwayError; RunError.
    """
    query = select(func.coalesce(func.max(JOBS.c.finish_number), 0))
    with store.database.reading() as connection:
        query = query.where(JOBS.c.run == store.database.run)
        return int(connection.execute(query).scalar_one())
