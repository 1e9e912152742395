"""How much memory photos may take while they are opened, whoever opens them, in any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

IN_FLIGHT: Final = 1 << 30
"""So many bytes of photos that are being opened are held at once; a single one may take more."""


class Gate:
    """Lets as much through at once as fits a limit, and what is larger than that alone.

    Who came first goes first, so that something large is not kept waiting by many that are small.
    """

    def __init__(self, limit: int) -> None:
        """Let `limit` bytes through at once."""
        self._limit, self._held = limit, 0
        self._turn, self._changed = threading.Lock(), threading.Condition()

    @property
    def held(self) -> int:
        """The bytes that are held now."""
        return self._held

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until there is room for `size` bytes, and hold them."""
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + size <= self._limit)
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()


gate: Final = Gate(IN_FLIGHT)
"""The one that all photos of this process go through."""
