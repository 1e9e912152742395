"""Progress on stderr: a bar with photos/s and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from shenhe.printable import printable, show, worded
from shenhe.rows.counts import RunCounts
from shenhe.runs.observers import RunInfo
from shenhe.runs.work import FinishedJob

PLAIN_SECONDS = 10.0
"""Minimum time between two plain lines."""


class RunProgress:
    """Shows how far a run is, earlier sessions included; rates are of this session alone.

    Outputs that are written at the same time have a bar each, one below the other.
    """

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._printed_at: dict[str, float] = {}

    def began(self, info: RunInfo) -> None:
        """Show the bar, on a terminal."""
        self._printed_at[info.title] = time.monotonic()
        if sys.stderr.isatty():
            self._bar = self._bar or Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._tasks[info.title] = self._bar.add_task(
                printable(worded(info.title)), total=_total(info), rate=""
            )
            self._bar.start()

    def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
        """Update the bar, or print a line if the last one is old enough."""
        if self._bar:
            self._bar.update(
                self._tasks[info.title],
                completed=_completed(info.counts),
                rate=worded(_rate(info)),
            )
        elif time.monotonic() - self._printed_at[info.title] >= PLAIN_SECONDS:
            self._printed_at[info.title] = time.monotonic()
            show(_line(info), file=sys.stderr)

    def ended(self, info: RunInfo) -> None:
        """Remove the bar, with the last output of several."""
        del self._printed_at[info.title]
        if self._bar and not self._printed_at:
            self._bar.stop()


def _total(info: RunInfo) -> int:
    return max(info.goal, info.counts.already)


def _completed(counts: RunCounts) -> int:
    return counts.already + counts.done + counts.failed


def _rate(info: RunInfo) -> str:
    counts = info.counts
    amount = counts.photos if info.rate_unit == "photos" else counts.done
    return f"{amount / max(counts.seconds, 1e-9):.1f} {info.rate_unit}/s"


def _line(info: RunInfo) -> str:
    counts, total = info.counts, _total(info)
    completed = _completed(counts)
    seconds_an_item = counts.seconds / max(1, completed - counts.already)
    seconds_left = seconds_an_item * max(0, total - completed)
    return (
        f"{info.title}: {completed}/{total} {info.item_unit}"
        f"{f', {counts.failed} failed' if counts.failed else ''}, {_rate(info)},"
        f" {seconds_left:.0f} s left"
    )
