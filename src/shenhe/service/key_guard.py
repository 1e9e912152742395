"""Wrong keys: whoever tries many of them from one address is told to wait, and learns nothing."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from shenhe.service.access import Caller, FindCaller
from shenhe.service.places import peer_of
from shenhe.service.rates import Rates
from shenhe.service.refusals import RefusedError
from shenhe.team.passwords import digest

WRONG_A_MINUTE: Final = 60.0
"""Different wrong keys that may come from one address."""
LONG: Final = 24
"""A key of so many characters, as those that are made here, is not guessed. Units: characters."""
MAX_TRIED: Final = 10_000


class KeyGuard:
    """Finds who has a key; after many wrong ones of an address, its right short ones count no more.

    What a client sends again and again is one attempt: one that does not know that its key was
    removed locks nobody out. A short key that was right before stays right.

    Example:
        caller = await KeyGuard(ring.find_caller).find(request, key)

    """

    def __init__(self, find: FindCaller, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask a function who has a key. Units: `clock` in seconds."""
        self._find, self._rates = find, Rates(clock)
        self._tried: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def find(self, request: Request, key: str) -> Caller | None:
        """Find who has a key, which may be empty; None: nobody.

        Raises: RefusedError where too many were tried; DatabaseAwayError; RunError.
        """
        caller = await run_in_threadpool(self._find, key)
        attempt = (peer_of(request), digest(key))
        is_certain = caller is not None and len(key) >= LONG
        if not key or is_certain or self._was_tried(attempt):
            return caller
        peer = Caller(attempt[0], frozenset(), WRONG_A_MINUTE)
        seconds = self._rates.take(peer) if caller is None else self._rates.wait(peer)
        if seconds:
            raise RefusedError(429, "too_many_keys", "too many wrong keys from here", seconds)
        self._tried[attempt] = None
        if len(self._tried) > MAX_TRIED:
            self._tried.popitem(last=False)
        return caller

    def _was_tried(self, attempt: tuple[str, str]) -> bool:
        if attempt not in self._tried:
            return False
        self._tried.move_to_end(attempt)
        return True
