"""Progress on stderr: a bar with photos/s and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from shenhe.printable import printable, show
from shenhe.rows.counts import RunCounts

PLAIN_SECONDS = 10.0


class RunProgress:
    """Shows how far a run is, what was done before included; rates are this session's own."""

    def __init__(
        self, title: str, total: int, counts: RunCounts, unit: str, items: str = "groups"
    ) -> None:
        """Show `total` items, groups as a rule; `unit` is what the rate counts: photos or items."""
        total = max(total, counts.already)
        self._title, self._total, self._counts, self._unit = title, total, counts, unit
        self._items = items
        self._bar: Progress | None = None
        self._last = time.monotonic()
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(printable(title), total=total, rate="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def update(self) -> None:
        """Show the counts as they are now."""
        if self._bar:
            self._bar.update(self._task, completed=self._done(), rate=self._rate())
        elif time.monotonic() - self._last >= PLAIN_SECONDS:
            self._say()

    def _done(self) -> int:
        return self._counts.already + self._counts.done + self._counts.failed

    def _rate(self) -> str:
        counts = self._counts
        amount = counts.photos if self._unit == "photos" else counts.done
        return f"{amount / max(counts.seconds, 1e-9):.1f} {self._unit}/s"

    def _say(self) -> None:
        self._last = time.monotonic()
        counts, done = self._counts, self._done()
        pace = counts.seconds / max(1, done - counts.already)
        left = pace * max(0, self._total - done)
        failed = f", {counts.failed} failed" if counts.failed else ""
        show(
            f"{self._title}: {done}/{self._total} {self._items}{failed}, {self._rate()},"
            f" {left:.0f} s left",
            file=sys.stderr,
        )
