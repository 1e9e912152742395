"""Work that waits for a disk or a network, begun a little before it is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

AHEAD: Final = 32
"""So many items are begun before they are asked for."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def prefetch(work: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Iterator[Made]:
    """Do some work in threads, a little ahead of whoever asks; what is made comes in order."""
    pending: deque[Future[Made]] = deque()
    pool = ThreadPoolExecutor(threads, "ahead")
    try:
        for one in given:
            pending.append(pool.submit(work, one))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
