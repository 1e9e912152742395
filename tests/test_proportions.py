"""Intervals and tests against figures that are known."""

from __future__ import annotations

import random

import pytest

from shenhe.proportions import Share, binomial_tail, kappa, mcnemar


def test_wilson() -> None:
    # Newcombe 1998, table I.
    assert Share(81, 263).interval() == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Share(15, 148).interval() == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert Share(0, 20).interval() == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert Share(1, 29).interval() == pytest.approx((0.0061, 0.1718), abs=5e-5)
    assert Share(0, 0).interval() == (0.0, 1.0)
    assert Share(0, 0).value is None


def test_the_binomial_tail() -> None:
    assert binomial_tail(0, 299, 0.01) == pytest.approx(0.0495, abs=5e-5)
    assert binomial_tail(0, 298, 0.01) > 0.05
    assert binomial_tail(2, 4, 0.5) == pytest.approx(11 / 16)
    assert binomial_tail(4, 4, 0.5) == 1
    assert binomial_tail(0, 4, 1.0) == 0


def test_mcnemar() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(5, 5) == 1
    assert mcnemar(1, 9) == pytest.approx(2 * 11 / 1024)
    assert mcnemar(9, 1) == mcnemar(1, 9)


def test_kappa() -> None:
    # Cohen's own kind of example: 35 of 50 agreed, where 25 would by chance.
    table = {("yes", "yes"): 20, ("yes", "no"): 5, ("no", "yes"): 10, ("no", "no"): 15}
    assert kappa(table) == pytest.approx(0.4)
    assert kappa({("yes", "yes"): 7}) == 1
    assert kappa({}) is None


def test_wilson_covers_what_it_says() -> None:
    drawn = random.Random(3)
    for share in (0.02, 0.3):
        hits = 0
        for _ in range(2000):
            count = sum(drawn.random() < share for _ in range(80))
            low, high = Share(count, 80).interval()
            hits += low <= share <= high
        assert hits / 2000 > 0.93
