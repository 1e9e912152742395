"""Which groups people look at first: one rule for the report and for the review queue."""

from __future__ import annotations

import math
from enum import IntEnum

from shenhe.row_types import VerdictRow
from shenhe.values import EXPECTED, PASS


class Need(IntEnum):
    """How much a group needs a look, the most urgent first."""

    UNDECIDED = 0
    AGAINST_LABEL = 1
    DECIDED = 2


def need_of(row: VerdictRow) -> Need:
    """Rank a verdict: undecided groups, then those judged against their label, then the rest."""
    if row.verdict is None:
        return Need.UNDECIDED
    if row.label and EXPECTED[row.label] != row.verdict:
        return Need.AGAINST_LABEL
    return Need.DECIDED


def queue_position(row: VerdictRow) -> float:
    """Rank a verdict as `need_of` does, and decided groups by their probability, the least first.

    The probability is that of the verdict itself; where it is not known, the group is the first of
    the decided ones.
    """
    need = need_of(row)
    if need is not Need.DECIDED or row.p_pass is None or not math.isfinite(row.p_pass):
        return float(need)
    return need + (row.p_pass if row.verdict == PASS else 1 - row.p_pass)
