"""Pauses before a retry: as the server says, within limits, else exponential with jitter."""

from __future__ import annotations

import logging
import math
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

log = logging.getLogger("shenhe.server")
PAUSE_SECONDS, MAX_PAUSE, MAX_SHORT_PAUSE = 0.25, 30.0, 1.0
"""Pause before the second try, which doubles with each try, up to a limit. Jitter of a half spreads
the retries."""
MAX_RETRY_AFTER: Final = 120.0
"""Longest pause that a server can ask for. Units: seconds."""


class Backoff:
    """Pauses for one server."""

    def __init__(self, address: str, patience: float) -> None:
        """Never pause longer than `patience`. Units: seconds."""
        self._address, self._longest = address, min(MAX_RETRY_AFTER, patience)
        self._warned = False

    def pause(self, tries: int, retry_after: str | None = None) -> float:
        """Compute the pause after this many tries, from Retry-After if given. Units: seconds."""
        seconds = parse_retry_after(retry_after) if retry_after is not None else None
        if not seconds:
            return _jitter(min(MAX_PAUSE, PAUSE_SECONDS * float(2 ** (tries - 1))))
        if seconds > self._longest and not self._warned:
            self._warned = True
            log.warning(
                "%s says to wait for %.4g s (Retry-After): asked again after %.4g s at most",
                self._address,
                seconds,
                self._longest,
            )
        return min(self._longest, seconds * random.uniform(1, 1.5))  # noqa: S311

    def short_pause(self, tries: int) -> float:
        """Compute the pause after this many bad answers of a healthy server. Units: seconds."""
        return _jitter(min(MAX_SHORT_PAUSE, PAUSE_SECONDS * float(2 ** (tries - 1))))


def parse_retry_after(header: str) -> float | None:
    """Parse Retry-After, seconds or a date; None if it names no time to come. Units: seconds.

    >>> [parse_retry_after(header) for header in ("1.5", "nan", "-3", "soon")]
    [1.5, None, None, None]
    """
    try:
        seconds = float(header)
    except ValueError:
        try:
            date = parsedate_to_datetime(header)
            seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return None if math.isnan(seconds) or seconds <= 0 else seconds


def _jitter(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311
