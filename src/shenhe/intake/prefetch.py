"""Prefetching of work that waits for a disk or a network."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

DEPTH: Final = 32
"""Number of items in progress before the first of them is consumed."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Map items in threads, up to `DEPTH` ahead of the consumer; results are in order."""
    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, "prefetch")
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > DEPTH:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
