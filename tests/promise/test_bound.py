"""The bound holds at every look, and says nothing that the looks do not show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from shenhe.promise.audited import JudgedGroup, Looks, Stratum, Truth, count_looks
from shenhe.promise.bound import estimate, find_band, is_certified, upper_bound
from tests.promise.strata import draw_weeks


def test_a_broken_promise_is_hardly_ever_certified_at_any_look() -> None:
    """At exactly the limit, looking every week for a year: at most 5 of 100, and 2 errors."""
    chance = np.random.default_rng(11)
    ever = 0
    for _ in range(100):
        band = find_band(draw_weeks(chance, [0.05] * 52))
        ever += any(week.high <= 0.05 for week in band)
    assert ever <= 100 * (0.05 + 2 * 0.0218)


def test_the_true_share_lies_within_the_band_at_all_weeks() -> None:
    chance, missed = np.random.default_rng(12), 0
    for rate in (0.01, 0.05, 0.3):
        for _ in range(40):
            band = find_band(draw_weeks(chance, [rate] * 20, share=0.3))
            missed += not all(week.low <= rate <= week.high for week in band)
    assert missed <= 120 * (0.1 + 2 * 0.0274)


def test_runs_of_a_few_groups_are_no_proof() -> None:
    """In a third of them nothing passes, and the bad ones among them stop for certain."""
    chance, ever = np.random.default_rng(16), 0
    for _ in range(60):
        groups = []
        for run in range(260):
            stratum = Stratum("a", f"{run // 5:04d}", run=run)
            slips = chance.random(chance.poisson(2)) < 0.05
            for bad in [*slips, *[None] * chance.poisson(1)]:
                number = chance.random()
                truth: Truth = "good" if bad is None else "bad"
                looked = truth if number < 0.1 else ""
                groups.append(
                    JudgedGroup(stratum, "failed", "bad", -2.0)
                    if bad is not None and not bad
                    else JudgedGroup(stratum, "passed", looked, 2.0, number)
                )
        band = find_band(count_looks(groups, dict.fromkeys(range(260), 0.1)))
        ever += any(week.high < 0.05 for week in band)
    assert ever <= 60 * (0.05 + 2 * 0.0282)


@pytest.mark.parametrize(("rate", "weeks"), [(0.01, 16), (0.025, 50)])
def test_a_promise_that_is_kept_is_certified(rate: float, weeks: int) -> None:
    chance = np.random.default_rng(13)
    proven = [is_certified(draw_weeks(chance, [rate] * weeks), 0.05) for _ in range(40)]
    assert sum(proven) >= 30


def test_shuffled_truth_is_not_certified() -> None:
    """The looks of a perfect model, with the truth dealt out anew: most bad groups pass."""
    chance = np.random.default_rng(14)
    weeks = draw_weeks(chance, [0.0] * 30)
    assert is_certified(weeks, 0.05)
    dealt = [
        replace_truth(each, false=round(0.2 * each.looked), stopped=round(0.2 * 500))
        for each in weeks
    ]
    assert upper_bound(dealt) > 0.3


def replace_truth(looks: Looks, false: int, stopped: int) -> Looks:
    return replace(looks, false=false, stopped=stopped)


def test_what_is_not_decided_never_lowers_the_bound() -> None:
    (week,) = draw_weeks(np.random.default_rng(15), [0.02], groups=5000)
    whole = upper_bound([week])
    assert upper_bound([replace(week, stopped=week.stopped - 100, left=100)]) > whole
    assert upper_bound([replace(week, stopped=week.stopped - 100, unconfirmed=100)]) > whole
    assert upper_bound([replace(week, doubts=3)]) > whole
    assert upper_bound([week, Looks(Stratum("a", "0001"), passed=50, stopped=900)]) == whole


@pytest.mark.parametrize(
    "looks",
    [
        [],
        [Looks(Stratum("a", "w"), passed=10)],
        [Looks(Stratum("a", "w"), passed=10, looked=10)],
        [Looks(Stratum("a", "w"), passed=9, looked=9, false=9)],
    ],
)
def test_where_looks_tell_nothing_all_may_pass(looks: list[Looks]) -> None:
    assert upper_bound(looks) == pytest.approx(1.0, abs=1e-6)


def test_more_false_passes_raise_every_side() -> None:
    before = find_band([Looks(Stratum("a", "w"), passed=100, looked=50, false=1, stopped=60)])[0]
    after = find_band([Looks(Stratum("a", "w"), passed=100, looked=50, false=6, stopped=60)])[0]
    assert before.low <= after.low
    assert before.high < after.high
    assert (before.estimate or 0) < (after.estimate or 0)


def test_an_estimate_weighs_each_look() -> None:
    looks = Looks(Stratum("a", "w"), passed=100, looked=10, false=1, stopped=30)
    assert estimate([looks]) == 10 / 40
    assert estimate([Looks(Stratum("a", "w"), passed=5, looked=5)]) is None
