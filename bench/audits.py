"""What weekly looks at a part of the passed groups certify, find and loosen.

    python -m bench.audits [--repetitions 100] [--only TEXT]

A world with known truth: 1,000 groups a week, a fifth of them bad, log-odds normal round -2 (bad)
and 2 (good) with a deviation of 2. People decide what the machine does not pass; of what it passes,
a tenth is drawn, about 41 groups. A new fault is one that the model takes for good: log-odds round
5. All figures come from the functions that `shenhe watch` runs. Prints tables in Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from statistics import NormalDist, median
from typing import Literal, NamedTuple, get_args

import numpy as np

from shenhe.promise.alarm import WEEKS, State, watch_weeks
from shenhe.promise.audited import JudgedGroup, Looks, Stratum, Truth, count_looks
from shenhe.promise.bound import is_certified
from shenhe.promise.ladder import loosen
from shenhe.proportions import binomial_tail

LIMIT, SHARE, GROUPS, BAD = 0.05, 0.1, 1000, 0.2
DRIFT_WEEK, LONG = 20, 104
Deciding = Literal["all", "all but undecided", "the audit alone"]
"""What people decide: also what the machine fails and leaves undecided, or what the audit draws."""


class World(NamedTuple):
    """Groups at a threshold; from `DRIFT_WEEK` on the part `drift` of bad ones is a new fault."""

    threshold: float
    drift: float = 0.0
    deciding: Deciding = "all"

    def week(self, chance: np.random.Generator, number: int, share: float = SHARE) -> Looks:
        """Draw a week, and count it as the product does."""
        bad = chance.random(GROUPS) < BAD
        new = bad & (chance.random(GROUPS) < (self.drift if number >= DRIFT_WEEK else 0.0))
        middle = np.where(new, 5.0, np.where(bad, -2.0, 2.0))
        log_odds = middle + 2 * chance.normal(size=GROUPS)
        numbers = chance.random(GROUPS)
        stratum = Stratum("m", f"{number:04d}")
        columns = zip(bad.tolist(), log_odds.tolist(), numbers.tolist(), strict=True)
        groups = [self._group(stratum, *column, share) for column in columns]
        (looks,) = count_looks(groups)
        return looks

    def _group(
        self, stratum: Stratum, bad: bool, log_odds: float, number: float, share: float
    ) -> JudgedGroup:
        course: Literal["passed", "held", "failed"] = (
            "passed" if log_odds >= self.threshold else "held" if log_odds >= 0 else "failed"
        )
        is_decided = {
            "passed": number < share,
            "held": self.deciding == "all",
            "failed": self.deciding != "the audit alone",
        }[course]
        truth: Truth = ("bad" if bad else "good") if is_decided else ""
        return JudgedGroup(stratum, course, truth, log_odds, number, float(stratum.week))


def threshold_of(false_pass: float) -> float:
    """Give the threshold at which this part of bad groups passes."""
    return -2 + 2 * NormalDist().inv_cdf(1 - false_pass)


def left_to_people(threshold: float) -> float:
    """Give the share of groups that the threshold holds back."""
    good, bad = NormalDist(2, 2), NormalDist(-2, 2)
    parts = ((1 - BAD, good), (BAD, bad))
    return sum(part * (world.cdf(threshold) - world.cdf(0)) for part, world in parts)


def false_pass_of(threshold: float) -> float:
    """Give the part of bad groups that passes at a threshold."""
    return 1 - NormalDist(-2, 2).cdf(threshold)


def weeks_until_certified(world: World, chance: np.random.Generator) -> tuple[int, int] | None:
    """Look each week; give the week in which the promise is proven, and the looks up to then."""
    looks: list[Looks] = []
    for number in range(LONG):
        looks.append(world.week(chance, number))
        if is_certified(looks, LIMIT):
            return number + 1, sum(each.looked for each in looks)
    return None


def alarm_week(
    world: World, chance: np.random.Generator, weeks: int, *, doubles: bool
) -> int | None:
    """Give the week of the alarm; `doubles` looks at twice as many where the state says so."""
    looks: list[Looks] = []
    state: State = "normal"
    for number in range(weeks):
        share = 2 * SHARE if doubles and state == "tightened" else SHARE
        looks.append(world.week(chance, number, share))
        state = watch_weeks(looks, LIMIT)[-1].state
        if state == "stopped":
            return number + 1
    return None


def tightened_weeks(world: World, chance: np.random.Generator) -> float:
    """Give the part of a year that is inspected more tightly."""
    states = watch_weeks([world.week(chance, number) for number in range(WEEKS)], LIMIT)
    return sum(week.state == "tightened" for week in states) / WEEKS


def weekly_test(world: World, chance: np.random.Generator) -> int | None:
    """Give the first week of a year in which an exact test of that week alone rejects, at 5%."""
    for number in range(WEEKS):
        week = world.week(chance, number)
        total = week.false + round(week.stopped * week.share)
        if week.false and 1 - binomial_tail(week.false - 1, total, LIMIT) <= LIMIT:
            return number + 1
    return None


def climb(chance: np.random.Generator, start: float) -> list[float]:
    """Loosen week by week for a year; give the threshold of each week."""
    looks: list[Looks] = []
    thresholds = [start]
    for number in range(WEEKS):
        looks.append(World(thresholds[-1]).week(chance, number))
        thresholds.append(loosen(looks, LIMIT, start=start) or start)
    return thresholds


def print_certified(repetitions: int) -> None:
    """Print how soon the promise of 5% is proven."""
    print("| true false pass | proven below 5% within two years | median weeks | median looks |")
    print("|---|---|---|---|")
    for rate in (0.01, 0.025, 0.05):
        chance = np.random.default_rng(1)
        world = World(threshold_of(rate))
        runs = [weeks_until_certified(world, chance) for _ in range(repetitions)]
        done = [run for run in runs if run]
        middle = [f"{median(column):,.0f}" for column in zip(*done, strict=True)] or ["-", "-"]
        print(f"| {rate:.1%} | {len(done)} of {repetitions} | {middle[0]} | {middle[1]} |")


def print_quiet(repetitions: int) -> None:
    """Print how many quiet years have a false alarm, beside a test each week."""
    print("| quiet years at | decided by people | alarm | weekly exact test | weeks tightened |")
    print("|---|---|---|---|---|")
    cases = [(0.025, "all"), *((0.05, deciding) for deciding in get_args(Deciding))]
    for rate, deciding in cases:
        world = World(threshold_of(rate), deciding=deciding)
        false, weekly = (
            sum(find(world, chance) is not None for _ in range(repetitions))
            for find, chance in (
                (_alarm_of_a_year, np.random.default_rng(2)),
                (weekly_test, np.random.default_rng(2)),
            )
        )
        chance = np.random.default_rng(3)
        tight = sum(tightened_weeks(world, chance) for _ in range(repetitions)) / repetitions
        cells = (f"{rate:.1%}", deciding, f"{false} of {repetitions}", f"{weekly} of {repetitions}")
        print(f"| {' | '.join(cells)} | {tight:.1%} |")


def _alarm_of_a_year(world: World, chance: np.random.Generator) -> int | None:
    return alarm_week(world, chance, WEEKS, doubles=True)


def print_rises(repetitions: int) -> None:
    """Print how soon a rise from 2.5% is found."""
    print("| from 2.5% to | decided | looks | found within a year | median weeks | too early |")
    print("|---|---|---|---|---|---|")
    for rate in (0.08, 0.16, 0.3):
        for doubles in (False, True):
            _print_rise(rate, "all", repetitions, doubles=doubles)
    _print_rise(0.16, "the audit alone", repetitions, doubles=True)


def _print_rise(rate: float, deciding: Deciding, repetitions: int, *, doubles: bool) -> None:
    start = threshold_of(0.025)
    passing = 1 - NormalDist(5, 2).cdf(start)
    world = World(start, (rate - 0.025) / (passing - 0.025), deciding)
    chance, weeks = np.random.default_rng(4), DRIFT_WEEK + WEEKS
    runs = [alarm_week(world, chance, weeks, doubles=doubles) for _ in range(repetitions)]
    late = [week - DRIFT_WEEK if week else WEEKS + 1 for week in runs]
    cells = (
        f"{rate:.0%}",
        deciding,
        "twice as many when tightened" if doubles else "a tenth throughout",
        f"{sum(0 < week <= WEEKS for week in late)} of {repetitions}",
        f"{median(late):.0f}",
        f"{sum(week <= 0 for week in late)}",
    )
    print(f"| {' | '.join(cells)} |")


def print_ladder(repetitions: int) -> None:
    """Print what is left to people while thresholds are loosened."""
    print("| start | left at first | after 13 weeks | 26 | 52 | broken at any time |")
    print("|---|---|---|---|---|---|")
    for start in (3.65, 2.5):
        chance = np.random.default_rng(5)
        runs = [climb(chance, start) for _ in range(repetitions)]
        broken = sum(any(false_pass_of(each) > LIMIT for each in run) for run in runs)
        shares = [median(left_to_people(run[week]) for run in runs) for week in (0, 13, 26, 52)]
        cells = " | ".join(f"{share:.0%}" for share in shares)
        print(f"| {false_pass_of(start):.2%} pass | {cells} | {broken} of {repetitions} |")


TABLES: dict[str, Callable[[int], None]] = {
    "certified": print_certified,
    "quiet": print_quiet,
    "rises": print_rises,
    "ladder": print_ladder,
}


def _chosen(only: str | None) -> Iterator[Callable[[int], None]]:
    return (table for name, table in TABLES.items() if only in (None, name))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--only", choices=sorted(TABLES))
    options = parser.parse_args()
    for table in _chosen(options.only):
        table(options.repetitions)
        print(flush=True)


if __name__ == "__main__":
    main()
