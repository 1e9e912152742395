"""Times of rows, which are in UTC, as people read them: in a zone that is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

FIRST_YEAR = 1901
"""The earliest year that spreadsheets hold as a time."""


def local_zone() -> timezone:
    """Give the zone of this machine, as its distance from UTC now."""
    return timezone(datetime.now(UTC).astimezone().utcoffset() or timedelta())


def read_time(text: str, zone: timezone) -> datetime | None:
    """Read a time of a row; None for a text that is none.

    >>> read_time("2026-11-20T08:00:00.5Z", timezone(timedelta(hours=8))).hour
    16
    >>> read_time("t", UTC) is None
    True
    """
    try:
        time = datetime.fromisoformat(text)
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        time = time.astimezone(zone).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
    return time if time.year >= FIRST_YEAR else None


def show_time(time: datetime) -> str:
    """Write a time to the minute, without its zone.

    >>> show_time(datetime(2026, 11, 20, 16, 0))
    '2026-11-20 16:00'
    """
    return time.strftime("%Y-%m-%d %H:%M")
