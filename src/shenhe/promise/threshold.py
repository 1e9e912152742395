"""The rule of a promise: which threshold lets at most a share of the bad groups pass.

Source: Learn then Test (Angelopoulos et al., 2021), a fixed sequence from the strictest threshold
on, with exact binomial tails.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from shenhe.proportions import binomial_tail


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be promised: at most the share `max_false_pass` of the bad groups passes.

    Of samples, 1 - `confidence` may break it; so may the best of `candidates` that were tried on
    the same labels. People are taken to overlook at most the share `missed` of the bad groups that
    the model passes.

    >>> Goal(0.05).failed_needed, Goal(0.05, candidates=5).failed_needed
    (59, 90)
    """

    max_false_pass: float
    confidence: float = 0.95
    candidates: int = 1
    missed: float = 0.0

    @property
    def risk(self) -> float:
        """The share of samples that one candidate may break."""
        return (1 - self.confidence) / self.candidates

    @property
    def share(self) -> float:
        """The share of the groups that people fail which may pass.

        Where people overlook the share `missed` of the bad groups that pass, of the bad groups that
        they see at least 1 - `missed` times as many pass as of all.
        """
        return self.max_false_pass * (1 - self.missed)

    @property
    def failed_needed(self) -> int:
        """The smallest number of failed groups on which anything can be promised."""
        count = max(1, math.floor(math.log(self.risk) / math.log1p(-self.share)))
        return count if math.exp(count * math.log1p(-self.share)) <= self.risk else count + 1

    def slips_allowed(self, failed: int) -> int:
        """Give how many of so many failed groups may pass; -1 if nothing can be promised."""
        return _slips_allowed(failed, self.share, self.risk)


def choose_threshold(
    slips: Sequence[float], failed: int, goal: Goal, lowest: float = 0.0
) -> float | None:
    """Find the lowest threshold of log-odds, at least `lowest`, that keeps a promise.

    `slips` are the log-odds of those of the `failed` groups that can pass. A threshold that breaks
    the promise is found in at most `goal.risk` of samples. None: no threshold can be promised, on
    so few groups, or because too many have infinite log-odds.

    >>> choose_threshold([2.0, 4.0], 59, Goal(0.05))
    4.000000000000001
    """
    allowed = goal.slips_allowed(failed)
    if allowed < 0:
        return None
    if allowed >= len(slips):
        return lowest
    # Between two log-odds nothing changes: the lowest threshold that stops this one is chosen.
    above = math.nextafter(sorted(slips, reverse=True)[allowed], math.inf)
    return max(above, lowest) if math.isfinite(above) else None


def count_passing(ascending: Sequence[float], threshold: float) -> int:
    """Count the log-odds, in ascending order, that reach a threshold."""
    return len(ascending) - bisect_left(ascending, threshold)


@lru_cache
def _slips_allowed(failed: int, share: float, risk: float) -> int:
    low, high = -1, failed  # the tail grows with the count: `low` is allowed, `high` is not
    while high - low > 1:
        middle = (low + high) // 2
        if binomial_tail(middle, failed, share) <= risk:
            low = middle
        else:
            high = middle
    return low
