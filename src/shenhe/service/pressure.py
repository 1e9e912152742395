"""Back-pressure: what cannot be kept or worked on soon is refused before it is taken in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from shenhe.service.limits import Limits
from shenhe.service.refusals import RefusedError

LOOK_SECONDS: Final = 0.5
"""How old the figures may be by which submissions are refused."""
BACKLOG_SECONDS: Final = 15
UPLOAD_SECONDS: Final = 2
DISK_SECONDS: Final = 60


class Pressure:
    """Admits submissions while backlog, disk and uploads under way are below their limits.

    Example:
        pressure.enter()
        try:
            receive(request)
        finally:
            pressure.leave()

    """

    def __init__(
        self, limits: Limits, waiting: Callable[[], int], free_bytes: Callable[[], int]
    ) -> None:
        """Ask for the number of groups that wait, and for the bytes that are free."""
        self._limits, self._waiting, self._free_bytes = limits, waiting, free_bytes
        self._lock, self._looked_at = threading.Lock(), -LOOK_SECONDS
        self._waiting_now, self._free_now = 0, limits.free_bytes
        self.uploads = 0

    def enter(self) -> None:
        """Count a submission as under way, until it leaves.

        Raises: RefusedError where a limit is reached; DatabaseAwayError; RunError.
        """
        with self._lock:
            self._look()
            self._check()
            self.uploads += 1

    def check_disk(self) -> None:
        """Refuse what is no submission, but is written to the same disk for a while.

        Raises: RefusedError where too little is free; DatabaseAwayError; RunError.
        """
        with self._lock:
            self._look()
            self._check_disk()

    def leave(self) -> None:
        """Count a submission as no longer under way."""
        with self._lock:
            self.uploads -= 1

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._waiting_now, self._free_now = self._waiting(), self._free_bytes()
        self._looked_at = time.monotonic()

    def _check(self) -> None:
        limits = self._limits
        if self._waiting_now >= limits.backlog:
            problem = f"{self._waiting_now} groups wait, of {limits.backlog} at most"
            raise RefusedError(429, "backlog_full", problem, BACKLOG_SECONDS)
        self._check_disk()
        if self.uploads >= limits.uploads:
            problem = f"{limits.uploads} groups are being received at present"
            raise RefusedError(429, "too_many_uploads", problem, UPLOAD_SECONDS)

    def _check_disk(self) -> None:
        if self._free_now < (least := self._limits.free_bytes):
            problem = f"the disk of the service has less than {least:,} bytes free"
            raise RefusedError(429, "disk_full", problem, DISK_SECONDS)
