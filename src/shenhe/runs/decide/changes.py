"""What became of verdicts that were decided anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from shenhe.row_types import VerdictRow
from shenhe.rows.counts import RunCounts
from shenhe.rows.statements import codes_of
from shenhe.values import FAIL, PASS

UNDECIDED: Final = ""
"""Stands for the verdict that an undecided group had."""


@dataclass(slots=True)
class Changes:
    """What became of the verdicts of a file.

    `verdicts` counts groups by the verdict that they had, and the one that they have now, or the
    code for which they are undecided. `failed` counts lines that are no verdicts, `with_lines` the
    groups that Stage-A has. `unconfigured` lists missions without a definition.

        >>> Changes().counts.complete
        True
    """

    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: int = 0
    with_lines: int = 0
    unconfigured: list[str] = field(default_factory=list)
    counts: RunCounts = field(default_factory=RunCounts)

    def add(self, before: VerdictRow, after: VerdictRow) -> None:
        """Count a group."""
        code = next(iter(codes_of(after)), "undecided")
        self.verdicts[before.verdict or UNDECIDED, after.verdict or code] += 1

    def join(self, part: Changes) -> None:
        """Count what became of other lines of the file."""
        self.verdicts.update(part.verdicts)
        self.failed += part.failed
        self.with_lines += part.with_lines
        self.unconfigured = list(dict.fromkeys([*self.unconfigured, *part.unconfigured]))

    def count(self, counts: RunCounts) -> None:
        """Sum up in the counts of a run."""
        done = self.verdicts.total()
        decided = sum(n for (_, after), n in self.verdicts.items() if after in (PASS, FAIL))
        counts.add_groups(done=done, failed=self.failed, undecided=done - decided)
        self.counts = counts
