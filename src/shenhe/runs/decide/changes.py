"""What became of verdicts that were decided anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from shenhe.row_types import VerdictRow
from shenhe.rows.counts import RunCounts
from shenhe.rows.statements import codes_of

UNDECIDED: Final = ""
"""Stands for the verdict that an undecided group had."""


@dataclass(slots=True)
class Changes:
    """What became of the verdicts of a file.

    `verdicts` counts groups by the verdict that they had, and the one that they have now, or the
    code for which they are undecided. `unconfigured` lists missions without a definition.

        >>> Changes().counts.complete
        True
    """

    counts: RunCounts = field(default_factory=RunCounts)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    unconfigured: list[str] = field(default_factory=list)

    def add(self, before: VerdictRow, after: VerdictRow) -> None:
        """Count a group."""
        code = next(iter(codes_of(after)), "undecided")
        self.verdicts[before.verdict or UNDECIDED, after.verdict or code] += 1
        self._count(has_row=True, settled=after.verdict is not None)

    def add_failed(self) -> None:
        """Count a line that is no verdict row."""
        self._count(has_row=False, settled=False)

    def _count(self, *, has_row: bool, settled: bool) -> None:
        self.counts.add_item(
            has_row=has_row, settled=settled, photos=0, new_tokens=0, sizes=(), repairs=()
        )
