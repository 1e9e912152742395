"""How long to wait before a question is asked again: as the server says, within limits."""

from __future__ import annotations

import logging
import math
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

log = logging.getLogger("shenhe.server")
PAUSE_SECONDS, LONGEST_PAUSE, LONGEST_SHORT = 0.25, 30.0, 1.0
"""Before the second try, twice as long before each further one, and never longer; each up to half
as long again or short, so that not all come back at once."""
LONGEST_TOLD: Final = 120.0
"""However long a server says to wait."""


class Patience:
    """How long to wait for one server."""

    def __init__(self, address: str, patience: float) -> None:
        """Never wait longer at a time than `patience`. Units: seconds."""
        self._address, self._longest = address, min(LONGEST_TOLD, patience)
        self._told = False

    def pause(self, tries: int, retry_after: str | None = None) -> float:
        """How long to wait after so many tries, where a server said so. Units: seconds."""
        asked = seconds_of(retry_after) if retry_after is not None else None
        if not asked:
            return _about(min(LONGEST_PAUSE, PAUSE_SECONDS * float(2 ** (tries - 1))))
        if asked > self._longest and not self._told:
            self._told = True
            log.warning(
                "%s says to wait for %.4g s (Retry-After): asked again after %.4g s at most",
                self._address,
                asked,
                self._longest,
            )
        return min(self._longest, asked * random.uniform(1, 1.5))  # noqa: S311

    def short(self, tries: int) -> float:
        """How long to wait after so many odd answers of a server that is well. Units: seconds."""
        return _about(min(LONGEST_SHORT, PAUSE_SECONDS * float(2 ** (tries - 1))))


def seconds_of(retry_after: str) -> float | None:
    """Read Retry-After, seconds or a date; None where it tells no time to come. Units: seconds.

    >>> seconds_of("1.5"), seconds_of("nan"), seconds_of("-3"), seconds_of("soon")
    (1.5, None, None, None)
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
            seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return None if math.isnan(seconds) or seconds <= 0 else seconds


def _about(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311
