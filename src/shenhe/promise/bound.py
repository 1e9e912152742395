"""The bound on false passes that holds at every look, however often people look.

A group counts x = bad * (passed - limit): that the mean of x is at most 0 is the promise. A bettor
who bets on it, with a stake that was set before the truth was known, does not get rich if it is
broken: the chance that the wealth ever reaches 1 / (1 - confidence) is at most 1 - confidence.
Source: V. Ville, 1939; I. Waudby-Smith and A. Ramdas, 2024.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shenhe.promise.audited import Looks

STAKES: Final = np.array([0.2, 0.5, 0.8, 0.97])
"""Shares of the wealth that a false pass costs. A few of them cost little, and lie near enough to
the best one of any rate."""
GAINS: Final = np.array([0.3, 1.0, 3.0, 8.0])
"""What a false pass wins in bets against a promise, for the lower side of the band."""
STEPS: Final = 30
"""Halvings of the interval in which a bound lies: to 1e-9."""


class BandWeek(NamedTuple):
    """What is known at the end of a week: the share of bad groups that pass lies within."""

    week: str
    low: float
    estimate: float | None
    high: float


class Counts(NamedTuple):
    """Counts by stratum as arrays. Shape: (strata,) each.

    `slipped` are bad groups among those looked at, `stopped` bad ones that did not pass, `share`
    is the probability of a look.
    """

    slipped: NDArray[np.float64]
    stopped: NDArray[np.float64]
    share: NDArray[np.float64]

    def log_wealth(
        self, limit: NDArray[np.float64], stakes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Give what bets on each stratum make of a wealth of 1, as logarithms.

        A false pass that is found multiplies the wealth by 1 + stake: negative stakes bet on the
        promise, positive ones against it. It stands for 1 / share of them, so that every other bad
        group moves the wealth by the share of that only.
        Shape: limit (any,), stakes (stakes,), result (any, strata, stakes).
        """
        odds = (limit / (1 - limit))[:, None, None]
        share, lost = self.share[:, None], self.slipped[:, None] * np.log1p(stakes)
        won: NDArray[np.float64] = np.log1p(-stakes * odds * share)
        looked = (self.share > 0)[:, None]
        return np.where(looked, lost + self.stopped[:, None] * won, 0.0)


def cautious_counts(looks: Sequence[Looks]) -> Counts:
    """Count so that errors raise the bound: doubts are bad, and only confirmed ones are stopped."""
    return _count([(each.false + each.doubts, each.stopped, each.share) for each in looks])


def lenient_counts(looks: Sequence[Looks]) -> Counts:
    """Count so that errors prevent an alarm: doubts are good, what the machine failed is bad."""
    return _count([(each.false, each.stopped + each.unconfirmed, each.share) for each in looks])


def upper_bound(looks: Sequence[Looks], confidence: float = 0.95) -> float:
    """Give the highest share of bad groups that may pass, as far as the looks tell.

    1 where they tell nothing. It holds at all looks at once, so it may be read at any time.

    >>> from shenhe.promise.audited import Stratum
    >>> looks = Looks(Stratum("挡风板安装检查", "2026-W48"), passed=400, looked=400, stopped=100)
    >>> 0.02 < upper_bound([looks]) < 0.06
    True
    """
    return _bisect(cautious_counts(looks), confidence, upper=True)


def is_certified(looks: Sequence[Looks], limit: float, confidence: float = 0.95) -> bool:
    """Whether at most the share `limit` of bad groups passes, as far as the looks tell."""
    return _excludes(cautious_counts(looks), limit, -STAKES, confidence)


def find_band(looks: Sequence[Looks], confidence: float = 0.95) -> list[BandWeek]:
    """Give the bounds at the end of each week, from all looks up to then; each side is as sure.

    The bounds of earlier weeks are not carried on: a rise since then must be able to raise them.
    """
    weeks = [each.stratum.week for each in looks]
    ends = [index + 1 for index, week in enumerate(weeks) if weeks[index + 1 : index + 2] != [week]]
    upper, lower = cautious_counts(looks), lenient_counts(looks)
    return [
        BandWeek(
            weeks[end - 1],
            _bisect(_first(lower, end), confidence, upper=False),
            estimate(looks[:end]),
            _bisect(_first(upper, end), confidence, upper=True),
        )
        for end in ends
    ]


def fair_gains(gains: NDArray[np.float64], limit: float) -> NDArray[np.float64]:
    """Give gains with which a bet against a limit cannot lose everything.

    Shape: (stakes,) both.
    """
    return np.minimum(gains, 0.9 * (1 - limit) / limit)


def estimate(looks: Sequence[Looks]) -> float | None:
    """Give the share of bad groups that pass, each found one standing for 1 / share; None if none.

    >>> estimate([])
    """
    slipped = sum((each.false + each.doubts) / each.share for each in looks if each.share)
    bad = slipped + sum(each.stopped + each.unconfirmed for each in looks if each.share)
    return slipped / bad if bad else None


def _count(columns: Sequence[tuple[int, int, float]]) -> Counts:
    table = np.array(columns, dtype=np.float64).reshape(-1, 3)
    return Counts(table[:, 0], table[:, 1], table[:, 2])


def _first(counts: Counts, end: int) -> Counts:
    return Counts(counts.slipped[:end], counts.stopped[:end], counts.share[:end])


def _bisect(counts: Counts, confidence: float, *, upper: bool) -> float:
    """Find the limit from which on, or up to which, the wealth says that it is none."""
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        stakes = -STAKES if upper else fair_gains(GAINS, middle)
        if _excludes(counts, middle, stakes, confidence) == upper:
            high = middle
        else:
            low = middle
    return high if upper else low


def _excludes(counts: Counts, limit: float, stakes: NDArray[np.float64], confidence: float) -> bool:
    """Whether somebody who splits a wealth of 1 over bets against a limit has become too rich."""
    log_wealth = counts.log_wealth(np.array([limit]), stakes)[0].sum(axis=0)
    log_mean = np.logaddexp.reduce(log_wealth) - np.log(len(stakes))
    return bool(log_mean >= -np.log1p(-confidence))
