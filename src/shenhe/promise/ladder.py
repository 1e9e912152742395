"""The ladder: a threshold is loosened step by step as people look at groups.

Below the threshold in force people decide every group, above it the audit looks at a random part.
So what each lower threshold would let pass is known, and a bettor bets on each (see `bound`). The
steps are tried in a fixed order, from the strictest on: the first that would break the promise is
reached with a chance of at most 1 - confidence, however often, and on however many steps, it is
tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shenhe.promise.audited import Looks
from shenhe.promise.bound import STAKES

STEP: Final = 0.25
"""Units: natural log-odds. Fixed, and no figure of the groups: it must not depend on the truth."""
LOWEST: Final = 0.0
"""No 通过 stands below it: there the model itself says 不通过."""
HIGHEST: Final = 60.0
"""Log-odds of no use beyond: a probability of 1 to the last digit."""


def loosen(
    looks: Sequence[Looks],
    limit: float,
    confidence: float = 0.95,
    start: float | None = None,
    step: float = STEP,
) -> float | None:
    """Give the lowest threshold that the looks certify to let pass at most `limit` of bad groups.

    `start` is the threshold in force, which comes back where nothing lower is certified. Without
    one the steps begin at the strictest, and None comes back where none is certified.
    Units: natural log-odds.

    >>> loosen([], 0.05, start=2.0)
    2.0
    """
    if not looks:
        return start
    steps = _steps(start, step)
    wealth = sum((_log_wealth(each, steps, limit) for each in looks), np.zeros(()))
    mean = np.logaddexp.reduce(wealth, axis=1) - math.log(len(STAKES))
    certified = mean >= -math.log1p(-confidence)
    reached = len(steps) if certified.all() else int(np.argmin(certified))
    return float(steps[reached - 1]) if reached else start


def _steps(start: float | None, step: float) -> NDArray[np.float64]:
    highest = HIGHEST if start is None else min(start, HIGHEST)
    rungs = np.arange(math.ceil(highest / step), -1, -1, dtype=np.float64) * step
    return rungs[(rungs < highest) & (rungs >= LOWEST)]


def _log_wealth(looks: Looks, steps: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Bet on each step. Shape: steps (steps,), result (steps, stakes).

    A group that a threshold holds back counts as bad until people have decided it.
    """
    share = looks.share
    if not share:
        return np.zeros((len(steps), len(STAKES)))
    audited = _above(looks.false_odds, steps)
    stopped_audited = len(looks.false_odds) - audited
    held, confirmed = _above(looks.held_odds, steps), _above(looks.held_confirmed, steps)
    won = STAKES * limit / (1 - limit)
    wealth: NDArray[np.float64] = (
        audited[:, None] * np.log1p(-STAKES)
        + stopped_audited[:, None] * np.log1p(won)
        + held[:, None] * np.log1p(-STAKES * share)
        + (looks.stopped - confirmed)[:, None] * np.log1p(won * share)
    )
    return wealth


def _above(log_odds: Sequence[float], steps: NDArray[np.float64]) -> NDArray[np.intp]:
    """Count the log-odds that pass at each step. Shape: (steps,) both."""
    ordered = np.sort(np.asarray(log_odds, dtype=np.float64))
    return len(ordered) - np.searchsorted(ordered, steps, side="left")
