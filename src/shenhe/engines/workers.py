"""What engines with workers in other processes share: a worker's start, the requests for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from shenhe.engines.base import Engine, EngineSpec
from shenhe.engines.options import EngineOptions
from shenhe.errors import Spelling, spell_by
from shenhe.messages import Request

EngineType = TypeVar("EngineType", bound=Engine)
MAX_FAILED_STARTS: Final = 3
"""Times in a row that a worker may die before it has done anything."""


def start_engine(
    spec: EngineSpec[EngineOptions],
    create: Callable[[EngineSpec[EngineOptions]], EngineType],
    spelling: Spelling,
) -> EngineType:
    """Load the model of a worker; its messages spell options as the process does that started it.

    Raises: exceptions of the engine's start.
    """
    spell_by(spelling)
    return create(spec)


class RequestQueue:
    """Requests to hand out: first those that dead workers have left, then those of a source.

    `paused` says that the source had none when it was last asked, and may have others later.

    >>> queue = RequestQueue([Request("a", (), 8), Request("b", (), 8)])
    >>> queue.requeue(queue.take(1))
    >>> [request.key for request in queue.take(5)], queue.exhausted
    (['a', 'b'], True)
    """

    def __init__(self, source: Iterable[Request | None] = ()) -> None:
        self._source, self._source_ended, self.paused = iter(source), False, False
        self._requeued: deque[Request] = deque()

    @property
    def exhausted(self) -> bool:
        """Whether the source has ended and nothing is left."""
        return self._source_ended and not self._requeued

    def take(self, count: int) -> list[Request]:
        """Take at most so many requests, fewer only at the end and in a pause."""
        requests = [self._requeued.popleft() for _ in range(min(count, len(self._requeued)))]
        self.paused = False
        while len(requests) < count and not self._source_ended and not self.paused:
            try:
                request = next(self._source)
            except StopIteration:
                self._source_ended = True
                break
            if request is None:
                self.paused = True
            else:
                requests.append(request)
        return requests

    def requeue(self, requests: Iterable[Request]) -> None:
        """Put back the requests that a dead worker has not answered."""
        self._requeued.extend(requests)
