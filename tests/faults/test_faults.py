"""Every foreign library raises each of its exceptions, and three that it never should.

What one item sets off costs that item; what no item escapes stops the run with one line, and the
same command goes on from there. Either way every group ends in rows or failures, once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

GROUPS = {"g1", "g2", "g3"}
Make = Callable[..., Path]
