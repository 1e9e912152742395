"""Limits of what is taken in; whoever exceeds one is told it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_NAME: Final = 200
"""Length of a group's id, and of what a client calls a photo. Units: characters."""
MAX_FIELD: Final = 4096
"""Length of a field that is no photo. Units: bytes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of submissions.

    `backlog` is the number of groups that may wait, `free_bytes` what the disk must keep free.
    Units: bytes, pixels, seconds.

    Example:
        Limits(photos=20)

    """

    photos: int = 60
    photo_bytes: int = 40_000_000
    group_bytes: int = 400_000_000
    photo_pixels: int = 80_000_000
    backlog: int = 20_000
    free_bytes: int = 1_000_000_000
    uploads: int = 100
    """Submissions that are received at once, in one process."""
    uploads_each: int = 50
    """Of these, those of one key, or of one address where none is needed."""
    streams_each: int = 100
    """Streams of events of one of them."""
    waits_each: int = 200
    """Requests of one of them that wait for a result."""
    requests_each: int = 400
    """Requests of one of them of all kinds."""
    idle_seconds: float = 30.0
    """How long a client may send nothing in the middle of a body."""
    bytes_per_second: int = 4_000
    """A body that comes more slowly on the whole is given up."""
    wait_seconds: float = 120.0
    """The longest `?wait=`."""

    def body_seconds(self, length: int) -> float:
        """How long a body of a length may take. Units: bytes in, seconds out.

        >>> Limits(idle_seconds=30, bytes_per_second=1000).body_seconds(60_000)
        90.0
        """
        return self.idle_seconds + length / self.bytes_per_second
