"""Counts of audited weeks with known truth, drawn as an audit draws them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shenhe.promise.audited import Looks, Maker, Stratum


def draw_weeks(
    chance: np.random.Generator,
    rates: Sequence[float],
    *,
    groups: int = 1000,
    share: float = 0.1,
    mission: str = "a",
    promise: str = "p",
    first: int = 0,
) -> list[Looks]:
    """Draw a week for each rate: a fifth of the groups is bad, and this part of them passes."""
    weeks = []
    for number, rate in enumerate(rates, first):
        bad = int(chance.binomial(groups, 0.2))
        slipped = int(chance.binomial(bad, rate))
        good = int(chance.binomial(groups - bad, 0.46))
        looked = int(chance.binomial(slipped + good, share))
        false = int(chance.hypergeometric(slipped, good, looked)) if looked else 0
        weeks.append(
            Looks(
                Stratum(mission, f"{number:04d}", Maker(promise, "c")),
                passed=slipped + good,
                looked=looked,
                false=false,
                stopped=bad - slipped,
                since=float(number),
            )
        )
    return weeks
