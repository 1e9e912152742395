"""Rates of keys: a bucket each, which fills by the minute; kept in the process that answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shenhe.service.access import Caller

MINUTE: Final = 60.0
BURST_SECONDS: Final = 10.0
"""A key that was quiet may send at once what it may send in this time."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Rates:
    """Counts the requests of each key.

    Example:
        wait = rates.take(caller)

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Count by a clock. Units: seconds."""
        self._clock, self._lock = clock, threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: Caller) -> float:
        """Count a request; gives how long its key has to wait, 0 where it need not.

        Units: seconds.
        """
        if not caller.rate:
            return 0.0
        a_second = caller.rate / MINUTE
        room, now = max(1.0, a_second * BURST_SECONDS), self._clock()
        with self._lock:
            bucket = self._buckets.setdefault(caller.name, _Bucket(room, now))
            bucket.tokens = min(room, bucket.tokens + (now - bucket.filled_at) * a_second)
            bucket.filled_at = now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / a_second
            bucket.tokens -= 1
            return 0.0
