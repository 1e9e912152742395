"""Places: how much one client has under way at once, so that others have room beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal

from fastapi import Request

from shenhe.service.limits import Limits
from shenhe.service.pages import caller_of
from shenhe.service.refusals import RefusedError
from shenhe.team.lockout import network_of

PlaceKind = Literal["requests", "uploads", "streams", "waits"]
Place = tuple[PlaceKind, tuple[str, str]]
"""A kind of places, and whose it is."""
AGAIN_SECONDS: Final = 2.0


class Places:
    """Counts what each client has under way: each key, or each address where none is needed.

    Belongs to one event loop.

    Example:
        with places.taken("streams", request): ...

    """

    def __init__(self, limits: Limits) -> None:
        """Hold clients to limits."""
        self._limits = limits
        self._taken: Counter[Place] = Counter()

    @contextmanager
    def taken(self, kind: PlaceKind, request: Request) -> Iterator[None]:
        """Hold a place.

        Raises: RefusedError where its client has as many as it may have.
        """
        place: Place = (kind, client_of(request))
        if self._taken[place] >= self._limit(kind):
            raise self._refusal(kind)
        self._taken[place] += 1
        try:
            yield
        finally:
            self._taken[place] -= 1
            if not self._taken[place]:
                del self._taken[place]

    def _limit(self, kind: PlaceKind) -> int:
        limits = self._limits
        return {
            "requests": limits.requests_each,
            "uploads": limits.uploads_each,
            "streams": limits.streams_each,
            "waits": limits.waits_each,
        }[kind]

    def _refusal(self, kind: PlaceKind) -> RefusedError:
        limit = self._limit(kind)
        problem = {
            "requests": f"one client may have {limit} requests under way at once",
            "uploads": f"one client may have {limit} uploads under way at once",
            "streams": f"one client may have {limit} streams of events open at once",
            "waits": f"one client may wait for {limit} groups at once",
        }[kind]
        return RefusedError(429, f"too_many_{kind}", problem, AGAIN_SECONDS)


def client_of(request: Request) -> tuple[str, str]:
    """Name who sends a request: by its key, else by its address.

    >>> client_of(Request({"type": "http", "state": {}, "client": ("192.0.2.7", 50000)}))
    ('', '192.0.2.7')
    """
    caller = caller_of(request)
    return (caller.name, "") if caller and caller.name else ("", peer_of(request))


def peer_of(request: Request) -> str:
    """Give the address that a request came from, or its network where one peer has many.

    >>> peer_of(Request({"type": "http", "client": ("2001:db8::7", 50000)}))
    '2001:db8::/64'
    """
    return network_of(request.client.host) if request.client else ""
