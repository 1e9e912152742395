"""Rates of callers: a bucket each, which fills by the minute; kept in the process that answers."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shenhe.service.access import Caller

MINUTE: Final = 60.0
MAX_BUCKETS: Final = 10_000
"""Callers that are counted at once; of more, those that were quiet longest begin anew."""
BURST_SECONDS: Final = 10.0
"""A key that was quiet may send at once what it may send in this time."""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Rates:
    """Counts the requests of each caller.

    Example:
        wait = rates.take(caller)

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Count by a clock. Units: seconds."""
        self._clock, self._lock = clock, threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: Caller) -> float:
        """Count a request; gives how long its caller has to wait, 0 where it need not.

        Units: seconds.
        """
        with self._lock:
            seconds = self._wait(caller)
            if caller.rate and not seconds:
                self._buckets[caller.name].tokens -= 1
            return seconds

    def wait(self, caller: Caller) -> float:
        """Give how long a request of a caller would have to wait. Units: seconds."""
        with self._lock:
            return self._wait(caller)

    def _wait(self, caller: Caller) -> float:
        if not caller.rate:
            return 0.0
        a_second = caller.rate / MINUTE
        room, now = max(1.0, a_second * BURST_SECONDS), self._clock()
        bucket = self._buckets.setdefault(caller.name, _Bucket(room, now))
        self._buckets.move_to_end(caller.name)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(room, bucket.tokens + (now - bucket.filled_at) * a_second)
        bucket.filled_at = now
        return (1 - bucket.tokens) / a_second if bucket.tokens < 1 else 0.0
