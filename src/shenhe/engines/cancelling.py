"""Requests that nobody waits for any more, noted by one thread and looked up by another."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

from shenhe.engines.base import CANCELLED
from shenhe.errors import ItemError
from shenhe.messages import Request, RequestFailed

MAX_NOTED: Final = 10_000
"""Keys that are kept: one that comes when its request has ended would otherwise stay for ever."""


class Cancellations:
    """Keys of cancelled requests, until those have ended.

    >>> cancelled = Cancellations()
    >>> cancelled.note("a")
    >>> "a" in cancelled, "b" in cancelled
    (True, False)
    """

    def __init__(self) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    def note(self, key: str) -> None:
        """Note that nobody waits for a request."""
        with self._lock:
            self._keys[key] = None
            if len(self._keys) > MAX_NOTED:
                self._keys.popitem(last=False)

    def forget(self, key: str) -> None:
        """Forget a request that has ended."""
        if self._keys:
            with self._lock:
                self._keys.pop(key, None)


def cancelled(request: Request) -> RequestFailed:
    """Make the result of a request that nobody waits for.

    >>> cancelled(Request("a", (), 8)).code
    'cancelled'
    """
    return RequestFailed.of(request, ItemError(CANCELLED, "nobody waits for it any more"))
