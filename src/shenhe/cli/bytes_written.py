"""Progress of bytes that are written."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from shenhe.printable import show, worded

PLAIN_SECONDS = 10.0


class BytesWritten:
    """Shows bytes written: a bar with GB/s on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._start = self._last_line = time.monotonic()
        if sys.stderr.isatty():
            columns = (TextColumn(worded("merging")), BarColumn(), DownloadColumn())
            self._bar = Progress(
                *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)
            )
            self._task = self._bar.add_task("merging", total=None)

    def __enter__(self) -> BytesWritten:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show how much is written."""
        now = time.monotonic()
        if self._bar:
            self._bar.update(self._task, completed=done, total=total)
        elif now - self._last_line >= PLAIN_SECONDS:
            self._last_line = now
            speed = done / 1e9 / (now - self._start)
            show(
                f"merging: {done / 1e9:.1f}/{total / 1e9:.1f} GB, {speed:.2f} GB/s,"
                f" {(total - done) / 1e9 / speed:.0f} s left",
                file=sys.stderr,
            )
