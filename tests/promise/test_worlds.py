"""Promises in worlds with known truth: see `bench.promise`, which runs all of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.promise import GOAL, Drawing, Truth, best_of, by_site, decided, least_sure, mended, plain
from bench.worlds import World

RUNS = 120
ALLOWED = RUNS * 0.05 + 2 * math.sqrt(RUNS * 0.05 * 0.95)
"""Twice the standard error above what is promised would be a fault."""
SITES = World("sites", groups=3000, site=5)
NOISY = World("noisy", flipped=0.05)
SURE = World("sure", sharpness=12)
FOOLED = World("fooled", fooled=0.08)


def _count_broken(world: World, draw: Drawing) -> tuple[int, int]:
    """Count the runs with a promise, and those whose promise is broken."""
    truth = Truth(world.draw(_chance(1), 100_000), None)
    thresholds = [threshold for n in range(RUNS) for threshold in draw(_chance(n + 2), n)]
    made = [threshold for threshold in thresholds if threshold is not None]
    return len(made), sum(truth.false_pass(each) > GOAL.max_false_pass for each in made)


def _chance(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("world", "draw"),
    [
        (SITES, by_site(SITES)),
        (SURE, plain(SURE)),
        (NOISY, mended(NOISY, 129)),
        (World("usual"), best_of(World("usual"), 5, replace(GOAL, candidates=5))),
    ],
    ids=["sites", "very sure", "mended labels", "candidates"],
)
def test_promises_are_kept(world: World, draw: Drawing) -> None:
    made, broken = _count_broken(world, draw)
    assert made == RUNS
    assert broken <= ALLOWED


@pytest.mark.parametrize(
    ("world", "draw"),
    [
        (SITES, plain(SITES)),
        (World("usual"), best_of(World("usual"), 5, GOAL)),
        (FOOLED, decided(FOOLED, least_sure, as_before=True)),
    ],
    ids=["sites", "candidates", "least sure"],
)
def test_what_would_break_them(world: World, draw: Drawing) -> None:
    """The worlds above are none in which any rule would do."""
    _, broken = _count_broken(world, draw)
    assert broken > ALLOWED


def test_decisions_on_what_needed_a_look_promise_nothing() -> None:
    assert _count_broken(FOOLED, decided(FOOLED, least_sure)) == (0, 0)
