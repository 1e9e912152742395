"""A process-wide bound on the memory of photos that are being opened, across all threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OPENING_BYTES: Final = 1 << 30
"""Memory for all photos that are being opened; a larger photo is opened alone."""


class MemoryBudget:
    """Admits reservations in order of arrival while they fit a limit, a larger one alone.

    First in, first out, so that small reservations do not starve a large one.
    """

    def __init__(self, limit: int) -> None:
        """Admit `limit` bytes at once."""
        self._limit, self._reserved = limit, 0
        self._turn, self._changed = threading.Lock(), threading.Condition()

    @property
    def reserved(self) -> int:
        """Bytes that are reserved at present."""
        return self._reserved

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes fit, and reserve them for the body of the `with`."""
        with self._turn, self._changed:
            self._changed.wait_for(
                lambda: not self._reserved or self._reserved + size <= self._limit
            )
            self._reserved += size
        try:
            yield
        finally:
            with self._changed:
                self._reserved -= size
                self._changed.notify_all()


memory_budget: Final = MemoryBudget(OPENING_BYTES)
"""The budget of this process."""
