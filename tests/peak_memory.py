"""The most memory that this process has had since a moment, as Linux counts it."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable
from pathlib import Path

import psutil

PROCESS = Path("/proc/self")


def begin_peak() -> Callable[[], int]:
    """Begin to watch; gives what tells how much more there was at most. Units: bytes."""
    gc.collect()
    (PROCESS / "clear_refs").write_text("5")  # forgets the peak of before
    before = int(psutil.Process().memory_info().rss)

    def peak() -> int:
        (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", (PROCESS / "status").read_text())
        return int(kilobytes) * 1024 - before

    return peak
