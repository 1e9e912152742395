"""What a worker needs of the queue of jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from shenhe.service.jobs import JobResult
from shenhe.service.store import Claimed


class JobQueue(Protocol):
    """What a worker takes of the `JobStore`."""

    def claim(self, worker: str, limit: int, without: Collection[str] = ()) -> Sequence[Claimed]:
        """Take up jobs, of other missions than those in `without`."""

    def renew(self, worker: str) -> None:
        """Tell that the worker lives."""

    def finish(self, claimed: Claimed, result: JobResult) -> bool:
        """End a job; False if it is somebody else's by now."""

    def fail(self, claimed: Claimed, problem: str) -> bool:
        """End a job that cannot be worked on; False if it is somebody else's by now."""

    def release(self, claimed: Claimed) -> None:
        """Put a job back."""
