"""Shares with their confidence intervals, binomial tails, and tests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of a total."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        """The share itself; None if the total is 0."""
        return self.count / self.total if self.total else None

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Give Wilson's score interval; 0 to 1 if the total is 0.

        Source: E. B. Wilson, 1927.
        """
        if not self.total:
            return 0.0, 1.0
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        n, p = self.total, self.count / self.total
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def to_json(self) -> dict[str, object]:
        """Give the share and its interval."""
        return {
            "count": self.count,
            "total": self.total,
            "value": self.value,
            "interval": self.interval(),
        }


def log_odds(share: float) -> float:
    """Give the natural log-odds of a share: infinite for 0 and 1.

    >>> log_odds(0.5), log_odds(1.0)
    (0.0, inf)
    """
    if share in (0, 1):
        return math.inf if share else -math.inf
    return math.log(share) - math.log1p(-share)


def binomial_tail(count: int, total: int, share: float) -> float:
    """Give the probability of at most `count` of `total`, each with the probability `share`."""
    if count >= total or share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    terms = (
        math.lgamma(total + 1)
        - math.lgamma(k + 1)
        - math.lgamma(total - k + 1)
        + k * math.log(share)
        + (total - k) * math.log1p(-share)
        for k in range(count + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))


def mcnemar(only_first: int, only_second: int) -> float:
    """Give McNemar's exact two-sided p-value of items that only one of two got right.

    Source: Q. McNemar, 1947; exact, as a sign test.
    """
    return min(1.0, 2 * binomial_tail(min(only_first, only_second), only_first + only_second, 0.5))


def kappa(table: Mapping[tuple[str, str], int]) -> float | None:
    """Give Cohen's kappa of two raters' counts, by the words of both; None without counts."""
    total = sum(table.values())
    if not total:
        return None
    words = {word for pair in table for word in pair}
    agreed = sum(table.get((word, word), 0) for word in words) / total
    chance = sum(
        sum(n for (first, _), n in table.items() if first == word)
        * sum(n for (_, second), n in table.items() if second == word)
        for word in words
    ) / (total * total)
    return (agreed - chance) / (1 - chance) if chance < 1 else 1.0
