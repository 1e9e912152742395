"""Requests whose prompts begin alike: one is computed, the others wait a pass for it."""

from __future__ import annotations

from shenhe.engines.local.prefix_cache import PrefixCache
from shenhe.engines.local.preprocessing import PreparedRequest

MIN_SHARED = 48
"""A request waits where it has this much less to compute then. Units: tokens."""
MAX_WAITING = 32
"""Requests that wait, each with its photos in memory: then no further one starts in this pass."""


class SharedBeginnings:
    """The prompts that start in one pass, and the requests that wait for their beginnings.

    A mission asks about the photo that another one has just asked about; all votes on a group have
    one prompt; worked examples stand before every photo.
    """

    def __init__(self, cache: PrefixCache, bytes_per_token: int) -> None:
        self._cache, self._bytes_per_token = cache, bytes_per_token
        self._starting: list[tuple[int, ...]] = []
        self._tokens = 0
        self.waiting: list[PreparedRequest] = []

    @property
    def is_full(self) -> bool:
        """Whether a further prompt would leave no room for what requests wait for."""
        if len(self.waiting) >= MAX_WAITING:
            return True
        return bool(self.waiting) and not self._fits(self._tokens)

    def start(self, prepared: PreparedRequest) -> None:
        """Note a request that starts in this pass."""
        self._starting.append(prepared.units)
        self._tokens += len(prepared.units)

    def defer(self, prepared: PreparedRequest) -> bool:
        """Let a request wait if it begins like one that starts, and say whether it does."""
        reach = self._cache.count(prepared.units) + MIN_SHARED
        beginning = prepared.units[:reach]
        waits = len(prepared.units) > reach and any(
            units[:reach] == beginning and self._fits(len(units)) for units in self._starting
        )
        if waits:
            self.waiting.append(prepared)
        return waits

    def _fits(self, tokens: int) -> bool:
        return self._cache.can_hold(tokens * self._bytes_per_token)
