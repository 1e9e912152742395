"""Requests that are prepared ahead, in threads, while the model runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Final, TypeVar

from shenhe.errors import ItemError, item_wall
from shenhe.messages import Request, RequestFailed

PreparedType = TypeVar("PreparedType")
THREADS: Final = 6
"""Threads that prepare, of which most wait: for a photo that another one decodes, or for a place to
decode, see PhotoCache."""
PREFETCH: Final = 16
"""Requests that are prepared ahead. A photo takes 3 MB at Qwen3-VL's own pixel budget."""


def prefetch(
    prepare: Callable[[Request], PreparedType], requests: Iterator[Request | None], count: int
) -> Generator[PreparedType | RequestFailed | None, None, None]:
    """Yield requests in order while the next `count` are prepared in threads.

    None where there is none at the moment, as the source says by None, or none is prepared yet.
    Raises: EngineError for a chat template that fails.
    """

    def prepare_or_fail(request: Request) -> PreparedType | RequestFailed:
        try:
            with item_wall("library_error", "the question"):
                return prepare(request)
        except ItemError as error:
            return RequestFailed.of(request, error)

    futures: deque[Future[PreparedType | RequestFailed]] = deque()
    with ThreadPoolExecutor(THREADS, "photos") as pool:
        try:
            while True:
                paused = False
                for request in islice(requests, max(0, count - len(futures))):
                    if request is None:
                        paused = True
                        break
                    futures.append(pool.submit(prepare_or_fail, request))
                if not futures and not paused:
                    return
                # While the source pauses, what is running does not wait for photos.
                ready = futures and (not paused or futures[0].done())
                yield futures.popleft().result() if ready else None
        finally:
            for future in futures:
                future.cancel()
