"""The rule of a promise, against exact arithmetic and by hand."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shenhe.promise import Goal, choose_threshold


def _tail(slips: int, failed: int, share: Fraction) -> Fraction:
    """P(X <= slips) of a binomial, exactly."""
    return sum(
        (math.comb(failed, k) * share**k * (1 - share) ** (failed - k) for k in range(slips + 1)),
        Fraction(0),
    )


@pytest.mark.parametrize("failed", [1, 58, 59, 60, 92, 93, 180, 400])
@pytest.mark.parametrize(("share", "confidence"), [("1/20", "19/20"), ("1/50", "9/10")])
def test_the_slips_that_are_allowed_are_exact(failed: int, share: str, confidence: str) -> None:
    exact, risk = Fraction(share), 1 - Fraction(confidence)
    expected = max((k for k in range(failed) if _tail(k, failed, exact) <= risk), default=-1)
    goal = Goal(float(exact), float(Fraction(confidence)))
    assert goal.slips_allowed(failed) == expected
    assert (goal.failed_needed <= failed) == (expected >= 0)


def test_how_many_failed_groups_are_needed() -> None:
    assert Goal(0.05).failed_needed == 59
    assert Goal(0.01).failed_needed == 299
    assert Goal(0.05, candidates=5).failed_needed == 90
    # Where people overlook 3 of 10, of the groups that they fail 3.5% may pass.
    assert Goal(0.05, missed=0.3).failed_needed == 85
    assert Goal(0.9, 0.5).failed_needed == 1
    assert Goal(1e-300).failed_needed > 1e299


def test_candidates_split_the_risk() -> None:
    assert Goal(0.05, 0.95, 5).risk == pytest.approx(0.01)
    assert Goal(0.05, 0.95, 5).slips_allowed(400) < Goal(0.05).slips_allowed(400)


def test_the_lowest_threshold_that_stops_enough() -> None:
    assert choose_threshold([], 58, Goal(0.05)) is None
    assert choose_threshold([], 59, Goal(0.05)) == 0.0
    assert choose_threshold([], 59, Goal(0.05), lowest=-2.0) == -2.0
    assert choose_threshold([1.0, 3.0], 59, Goal(0.05)) == math.nextafter(3.0, math.inf)
    assert choose_threshold([1.0, 3.0], 93, Goal(0.05)) == math.nextafter(1.0, math.inf)
    assert choose_threshold([1.0, 3.0], 93, Goal(0.05), lowest=2.0) == 2.0
    # Equal ones pass or stop together.
    assert choose_threshold([3.0, 3.0], 93, Goal(0.05)) == math.nextafter(3.0, math.inf)
    # Nothing is above infinity.
    assert choose_threshold([math.inf], 59, Goal(0.05)) is None
    assert choose_threshold([math.inf, 2.0], 93, Goal(0.05)) == math.nextafter(2.0, math.inf)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(-40, 40) | st.integers(-3, 3).map(float), max_size=30),
    st.integers(0, 300),
    st.sampled_from([Goal(0.05), Goal(0.2, 0.8), Goal(0.01, 0.9, 3, 0.5)]),
)
def test_no_more_pass_than_may_and_nothing_is_left_in_vain(
    slips: list[float], further: int, goal: Goal
) -> None:
    failed = len(slips) + further
    threshold = choose_threshold(slips, failed, goal, -50.0)
    allowed = goal.slips_allowed(failed)
    assert (threshold is None) == (allowed < 0)
    if threshold is None:
        return
    assert sum(slip >= threshold for slip in slips) <= allowed
    if threshold > -50:
        lower = math.nextafter(threshold, -math.inf)
        assert sum(slip >= lower for slip in slips) > allowed


@pytest.mark.parametrize("repetitions", [2000])
def test_the_promise_holds(repetitions: int) -> None:
    """Log-odds of bad groups are normal: what truly passes at each threshold is known exactly."""
    drawn, goal, broken = random.Random(11), Goal(0.05), 0
    for _ in range(repetitions):
        odds = [drawn.gauss(-1, 2) for _ in range(150)]
        threshold = choose_threshold([each for each in odds if each >= 0], len(odds), goal)
        assert threshold is not None
        broken += 0.5 * math.erfc((threshold + 1) / 2 / math.sqrt(2)) > goal.max_false_pass
    # Twice the standard error of so many repetitions above what is promised would be a fault.
    assert broken / repetitions <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / repetitions)
    assert broken > 0
