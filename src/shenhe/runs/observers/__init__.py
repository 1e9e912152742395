"""Observers of a run: progress, metrics, traces, a log. None of them changes a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shenhe.rows.counts import RunCounts
from shenhe.runs.work import FinishedJob

__all__ = ["Observer", "RunInfo"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One output of a run, as observers see it; `counts` are updated while the run goes on.

    `total` is the number of items of the output, `goal` how many will be done when this run ends.

    Example:
        def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
            print(info.title, info.counts.done, "of", info.goal)

    """

    title: str
    counts: RunCounts
    total: int
    goal: int
    rate_unit: str
    item_unit: str


class Observer(Protocol):
    """Called for each output of a process, and for each item of it.

    class Printer:
        def began(self, info: RunInfo) -> None:
            print(info.title, info.total)

        def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
            print([rejection.code for rejection in job.rejections])

        def ended(self, info: RunInfo) -> None:
            print(info.counts.done)
    """

    def began(self, info: RunInfo) -> None:
        """Called when an output is open, before its first item."""

    def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
        """Called when an item has all its outcomes and its record is written."""

    def ended(self, info: RunInfo) -> None:
        """Called when an output is closed, also after an error."""
