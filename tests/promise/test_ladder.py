"""The ladder: thresholds go down as looks allow, and hardly ever too far."""

from __future__ import annotations

import numpy as np
import pytest

from shenhe.promise.audited import Looks, Stratum
from shenhe.promise.ladder import loosen

TRUE_LIMIT = 1.645 * 2 - 2
"""Of bad groups whose log-odds are normal round -2, with a deviation of 2, 5% lie above it."""


def draw_ladder_week(
    chance: np.random.Generator, threshold: float, number: int, share: float = 0.1
) -> Looks:
    """Draw 1,000 groups: people decide those below the threshold, the audit looks at some above."""
    bad = chance.random(1000) < 0.2
    odds = np.where(bad, -2.0, 2.0) + 2 * chance.normal(size=1000)
    passed, held = odds >= threshold, (odds >= 0) & (odds < threshold)
    looked = passed & (chance.random(1000) < share)
    return Looks(
        Stratum("a", f"{number:04d}"),
        passed=int(passed.sum()),
        looked=int(looked.sum()),
        false=int((bad & looked).sum()),
        stopped=int((bad & ~passed).sum()),
        false_odds=odds[bad & looked].tolist(),
        held_odds=odds[bad & held].tolist(),
        held_confirmed=odds[bad & held].tolist(),
    )


def climb(chance: np.random.Generator, start: float, weeks: int) -> float:
    """Loosen week by week, each week with the threshold that was reached; give the lowest."""
    looks: list[Looks] = []
    threshold = lowest = start
    for number in range(weeks):
        looks.append(draw_ladder_week(chance, threshold, number))
        threshold = loosen(looks, 0.05, start=start) or start
        lowest = min(lowest, threshold)
    return lowest


def test_it_loosens_and_is_hardly_ever_broken() -> None:
    chance = np.random.default_rng(31)
    reached = [climb(chance, 3.75, 40) for _ in range(60)]
    assert sum(threshold < TRUE_LIMIT for threshold in reached) <= 60 * (0.05 + 2 * 0.028)
    assert np.median(reached) <= 2.5


def test_groups_that_nobody_decided_count_as_bad() -> None:
    chance = np.random.default_rng(32)
    looks = [draw_ladder_week(chance, 3.75, number) for number in range(30)]
    reached = loosen(looks, 0.05, start=3.75)
    for each in looks:
        each.held_odds += [1.0] * 20
    cautious = loosen(looks, 0.05, start=3.75)
    assert reached is not None
    assert cautious is not None
    assert reached < 2.0 < cautious + 1.0
    assert cautious > 1.0


@pytest.mark.parametrize("start", [None, 2.0])
def test_without_looks_nothing_is_loosened(start: float | None) -> None:
    looks = [Looks(Stratum("a", "w"), passed=400, stopped=190)]
    assert loosen(looks, 0.05, start=start) == start
    assert loosen([], 0.05, start=start) == start


def test_without_a_start_the_steps_begin_at_the_strictest() -> None:
    chance = np.random.default_rng(33)
    looks = [draw_ladder_week(chance, 0.0, number, share=1.0) for number in range(20)]
    threshold = loosen(looks, 0.05)
    assert threshold is not None
    assert TRUE_LIMIT - 0.25 <= threshold <= TRUE_LIMIT + 1


def test_a_false_pass_of_unknown_log_odds_passes_at_every_step() -> None:
    looks = [
        Looks(
            Stratum("a", "w"), passed=400, looked=400, stopped=500, false=60, false_odds=[odds] * 60
        )
        for odds in (np.inf, 0.5)
    ]
    assert loosen(looks[:1], 0.05, start=2.0) == 2.0
    assert loosen(looks[1:], 0.05, start=2.0) == 0.75
