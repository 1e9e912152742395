"""Requests that were with a worker when it died: which of them kills workers."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final

from shenhe.engines.workers import RequestQueue
from shenhe.errors import ItemError
from shenhe.messages import Request, RequestFailed

MAX_DEATHS: Final = 3
"""Deaths of workers with a request, the last of them with it alone, after which it has failed."""


class Suspects:
    """Counts deaths by request: after one a request goes on with others, after two alone.

    Whatever killed a worker with many requests is thus found, and fails alone.
    """

    def __init__(self, queue: RequestQueue) -> None:
        """Put requests that go on with others back into a queue."""
        self._queue = queue
        self._deaths: Counter[str] = Counter()
        self._alone: deque[Request] = deque()

    def __bool__(self) -> bool:
        return bool(self._alone)

    def next_alone(self) -> Request:
        """Take a request that must have a worker for itself."""
        return self._alone.popleft()

    def is_alone(self, request: Request) -> bool:
        """Whether a request must have a worker for itself."""
        return self._deaths[request.key] >= MAX_DEATHS - 1

    def note_death(self, requests: Iterable[Request], reason: str) -> list[RequestFailed]:
        """Note that a worker died with these requests; returns those that are to blame."""
        dead_with = list(requests)
        self._deaths.update(request.key for request in dead_with)
        if len(dead_with) == 1 and self._deaths[dead_with[0].key] >= MAX_DEATHS:
            (request,) = dead_with
            message = (
                f"the engine's process died {self._deaths[request.key]} times while it answered"
                f" this, at last this alone ({reason})"
            )
            return [RequestFailed.of(request, ItemError("engine_crash", message))]
        self._alone.extend(filter(self.is_alone, dead_with))
        self._queue.requeue(request for request in dead_with if not self.is_alone(request))
        return []

    def note_answer(self, key: str) -> None:
        """Forget the deaths with a request that is answered."""
        self._deaths.pop(key, None)
