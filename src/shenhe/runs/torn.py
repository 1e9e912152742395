"""Where the whole lines of a file end: what a process wrote when it died stands behind them."""

from __future__ import annotations

import json
from typing import IO


def whole_end(file: IO[bytes], size: int) -> int:
    """Find where the whole lines of a file end, in bytes."""
    cut = _after_last_newline(file, size)
    if cut and cut == size:
        start = _after_last_newline(file, size - 1)
        file.seek(start)
        try:
            json.loads(file.read(size - start))
        except (ValueError, RecursionError):
            return start
    return cut


def _after_last_newline(file: IO[bytes], end: int, block: int = 65_536) -> int:
    """Find where the line that ends at `end` begins."""
    while end:
        start = max(0, end - block)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
