"""How often promises are broken, in worlds with known truth, and what they leave to people.

    python -m bench.promise [--runs 400] [--only WORD]

Every promise is made by the rule of `shenhe promise`, of groups that are drawn anew for each run,
and held against 400,000 further groups. "Made" is the share of runs with a promise, "broken" that
of runs whose promise is not kept; "left" is the share of all groups that the model passes and the
promise leaves to people (all that it passes, where nothing is promised), "best" the lowest that
knowledge of the truth would allow. Prints a table.
"""

from __future__ import annotations

import argparse
import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bench.worlds import WORLDS, Flags, Floats, Groups, World
from shenhe.promise.find import expect_left, find_promise
from shenhe.promise.sample import Sample
from shenhe.promise.threshold import Goal, choose_threshold

GOAL = Goal(0.05)
POPULATION = 400_000
CUT = math.log(9)
"""A threshold of 0.9, in log-odds."""
Drawing = Callable[[np.random.Generator, int], list[float | None]]
"""Draws labelled groups, by the number of the run, and gives a threshold for each mission."""


class Truth:
    """What a threshold does in one mission of a world, known from many groups."""

    def __init__(self, population: Groups, mission: int | None) -> None:
        of_it = np.ones(len(population.bad), bool)
        if mission is not None:
            of_it = population.mission == mission
        self._bad = np.sort(population.log_odds[of_it & population.bad])
        self._all = np.sort(population.log_odds[of_it])
        self.share = float(of_it.mean())

    def false_pass(self, threshold: float) -> float:
        return self._above(self._bad, max(threshold, 0.0))

    def left(self, threshold: float | None) -> float:
        above = 0.0 if threshold is None else self._above(self._all, max(threshold, 0.0))
        return self._above(self._all, 0.0) - above

    @property
    def best(self) -> float:
        return self.left(float(np.quantile(self._bad, 1 - GOAL.max_false_pass)))

    @staticmethod
    def _above(ascending: Floats, threshold: float) -> float:
        return 1 - float(np.searchsorted(ascending, threshold, side="left")) / len(ascending)


@dataclass(frozen=True)
class Case:
    """A world, and a way to promise in it."""

    world: World
    way: str
    draw: Drawing
    by_mission: bool = False

    def run(self, runs: int) -> str:
        """Give the line of the table: of several missions, the one whose promise is broken most."""
        population = self.world.draw(np.random.default_rng(1), POPULATION)
        missions = range(len(self.world.missions)) if self.by_mission else [None]
        truths = [Truth(population, mission) for mission in missions]
        chance = np.random.default_rng(7)
        drawn = [self.draw(chance, number) for number in range(runs)]
        by_mission = list(zip(*drawn, strict=True))
        broken = [
            sum(t is not None and truth.false_pass(t) > GOAL.max_false_pass for t in thresholds)
            for truth, thresholds in zip(truths, by_mission, strict=True)
        ]
        made = np.mean([t is not None for thresholds in drawn for t in thresholds])
        left = sum(
            truth.share * float(np.mean([truth.left(t) for t in thresholds]))
            for truth, thresholds in zip(truths, by_mission, strict=True)
        )
        best = sum(truth.share * truth.best for truth in truths)
        shares = f"{made:.0%} | {max(broken) / runs:.1%} | {left:.1%} | {best:.1%}"
        return f"| {self.world.name} | {self.way} | {shares} |"


def sample_of(groups: Groups, chosen: Flags | None = None, drawing: int = 0) -> Sample:
    """Make the sample that rows of the groups make; `chosen` are those whose labels are used."""
    chosen = np.ones(len(groups.bad), bool) if chosen is None else chosen
    failed = groups.outcomes(groups.failed & chosen, drawing)
    return Sample(
        "",
        failed={outcome.key: outcome for outcome in failed},
        groups=len(groups.bad),
        failed_by_machine=int((groups.log_odds < 0).sum()),
        scores=array("d", groups.log_odds[groups.log_odds >= 0].tolist()),
    )


def plain(world: World, goal: Goal = GOAL) -> Drawing:
    """Promise of all labelled groups."""
    return lambda chance, number: [
        find_promise(sample_of(world.draw(chance), drawing=number), goal).threshold
    ]


def by_site(world: World) -> Drawing:
    """Promise with one random failed group of each site."""

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        sample = sample_of(groups, drawing=number)
        site_of = {key: str(groups.site[int(key.partition("-")[2])]) for key in sample.failed}
        return [find_promise(sample, GOAL, site_of).threshold]

    return draw


def by_mission(world: World, *, pooled: bool) -> Drawing:
    """Promise of each mission by itself, or of all by one threshold."""
    missions = range(len(world.missions))

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        if pooled:
            return [find_promise(sample_of(groups, None, number), GOAL).threshold for _ in missions]
        parts = (groups[groups.mission == mission] for mission in missions)
        return [find_promise(sample_of(part, None, number), GOAL).threshold for part in parts]

    return draw


def after_a_cut(world: World, *, is_known: bool) -> Drawing:
    """Promise of a run that was judged with a threshold; of cut groups nothing may be known."""

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        is_cut = (groups.log_odds >= 0) & (groups.log_odds < CUT)
        sample = sample_of(groups, None if is_known else ~is_cut, number)
        sample.cut = int(is_cut.sum())
        sample.lowest_passed = float(groups.log_odds[groups.log_odds >= CUT].min())
        return [find_promise(sample, GOAL).threshold]

    return draw


def as_before_after_a_cut(world: World) -> Drawing:
    """What was promised of such a run before: cut groups counted as held back for ever."""

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        slips = groups.log_odds[groups.failed & (groups.log_odds >= CUT)].tolist()
        return [choose_threshold(slips, int(groups.failed.sum()), GOAL)]

    return draw


def decided(world: World, chosen: Callable[[Groups], Flags], *, as_before: bool = False) -> Drawing:
    """Promise of people's decisions on some groups."""

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        is_decided = chosen(groups)
        sample = sample_of(groups, is_decided, number)
        open_odds = groups.log_odds[~is_decided & (groups.log_odds >= 0)]
        if not as_before and len(open_odds):
            sample.unseen, sample.surest_unseen = len(open_odds), float(open_odds.max())
        return [find_promise(sample, GOAL).threshold]

    return draw


def least_sure(groups: Groups, share: float = 0.2) -> Flags:
    """Say which groups people see first in the queue of review. Shape: (groups,)."""
    doubt: Floats = np.abs(groups.log_odds)
    chosen: Flags = doubt <= np.quantile(doubt, share)
    return chosen


def surest(groups: Groups, share: float = 0.5) -> Flags:
    """Say which groups are decided where people begin with the surest 通过. Shape: (groups,)."""
    chosen: Flags = groups.log_odds >= np.quantile(groups.log_odds[groups.log_odds >= 0], 1 - share)
    return chosen | (groups.log_odds < 0)


def best_of(world: World, tries: int, goal: Goal) -> Drawing:
    """Try several checkpoints on the same labels, and take the one that leaves least to people."""

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        findings = []
        for _ in range(tries):
            middle = np.where(groups.bad, -2.0, 2.0)
            scored = replace(groups, log_odds=middle + 2 * chance.normal(size=len(middle)))
            findings.append(find_promise(sample_of(scored, None, number), goal))
        return [min(findings, key=lambda each: each.left_to_people.count).threshold]

    return draw


def with_trained(world: World, share: float, *, left_out: bool) -> Drawing:
    """Promise where the model was trained on a share of the groups, and knows them."""

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        is_trained = chance.random(len(groups.bad)) < share
        odds = np.where(is_trained, np.where(groups.bad, -8.0, 8.0), groups.log_odds)
        groups = replace(groups, log_odds=odds)
        return [
            find_promise(sample_of(groups[~is_trained] if left_out else groups), GOAL).threshold
        ]

    return draw


def mended(world: World, looks: int) -> Drawing:
    """Promise after people have looked at labels in doubt, the surest first."""

    def draw(chance: np.random.Generator, number: int) -> list[float | None]:
        groups = world.draw(chance)
        in_doubt = np.flatnonzero(groups.failed & (groups.log_odds >= 0))
        looked_at = in_doubt[np.argsort(-groups.log_odds[in_doubt])][:looks]
        failed = groups.failed.copy()
        failed[looked_at] = groups.bad[looked_at]
        return [find_promise(sample_of(replace(groups, failed=failed)), GOAL).threshold]

    return draw


def cases() -> Iterator[Case]:
    """List all worlds, and the ways to promise in them."""
    for world in WORLDS:
        if world.site > 1:
            yield Case(world, "as if each group were another site", plain(world))
            yield Case(world, "cluster: the site", by_site(world))
        elif len(world.missions) > 1:
            yield Case(world, "pooled, worst mission", by_mission(world, pooled=True), True)
            yield Case(world, "worst mission", by_mission(world, pooled=False), True)
        elif world.missed:
            yield Case(world, "as if they missed none", plain(world))
            goal = replace(GOAL, missed=world.missed)
            yield Case(world, "missed by people: 0.3", plain(world, goal))
        else:
            yield Case(world, "", plain(world))
    usual, fooled = World("usual"), WORLDS[-1]
    sites = replace(WORLDS[7], name="400 sites of 20 groups", groups=8000)
    yield Case(sites, "as if each group were another site", plain(sites))
    yield Case(sites, "cluster: the site", by_site(sites))
    yield Case(usual, "cut at 0.9, as before", as_before_after_a_cut(usual))
    for is_known, way in ((True, "cut at 0.9"), (False, "cut at 0.9, p_pass not on record")):
        yield Case(usual, way, after_a_cut(usual, is_known=is_known))
    before = decided(fooled, least_sure, as_before=True)
    yield Case(fooled, "least sure fifth decided, as before", before)
    yield Case(fooled, "least sure fifth decided", decided(fooled, least_sure))
    yield Case(fooled, "surest half of 通过 decided", decided(fooled, surest))
    yield Case(usual, "best of 5 on the same labels", best_of(usual, 5, GOAL))
    yield Case(usual, "best of 5, candidates: 5", best_of(usual, 5, replace(GOAL, candidates=5)))
    yield Case(usual, "trained on 30%", with_trained(usual, 0.3, left_out=False))
    yield Case(usual, "trained on 30%, not these", with_trained(usual, 0.3, left_out=True))
    for noise, looks in ((0.02, 40), (0.05, 129), (0.1, 193)):
        noisy = World(f"{noise:.0%} of labels wrong, both ways", flipped=noise)
        yield Case(noisy, "", plain(noisy))
        yield Case(noisy, f"{looks} labels in doubt looked at", mended(noisy, looks))


class Estimate(NamedTuple):
    """What so many failed groups leave to people, and what was estimated before."""

    failed: int
    left: float
    broken: float
    estimated: float


def more_labels(runs: int) -> Iterator[Estimate]:
    """Compare what labels bring with the estimate that `shenhe promise` makes from 400."""
    world, chance = World("usual"), np.random.default_rng(5)
    truth = Truth(world.draw(np.random.default_rng(1), POPULATION), None)
    findings = [find_promise(sample_of(world.draw(chance)), GOAL) for _ in range(min(runs, 40))]
    estimates = [expect_left(each, GOAL) for each in findings]
    for failed in estimates[0]:
        thresholds = []
        for _ in range(runs):
            groups = world.draw(chance, 8 * failed)
            first = np.flatnonzero(groups.failed)[:failed]
            of_them = np.isin(np.arange(len(groups.bad)), first)
            thresholds.append(find_promise(sample_of(groups, of_them), GOAL).threshold)
        kept = [each for each in thresholds if each is not None]
        yield Estimate(
            failed,
            float(np.mean([truth.left(each) for each in thresholds])),
            sum(truth.false_pass(each) > GOAL.max_false_pass for each in kept) / runs,
            float(np.mean([each[failed] or math.nan for each in estimates])),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    error = math.sqrt(0.05 * 0.95 / options.runs)
    print(f"{options.runs} runs: two standard errors above 5% are {0.05 + 2 * error:.1%}\n")
    print("| world | promise | made | broken | left | best |\n|---|---|---|---|---|---|")
    for case in cases():
        if options.only in f"{case.world.name} {case.way}":
            print(case.run(options.runs), flush=True)
    if options.only:
        return
    print("\n| failed groups | left | broken | estimated from 400 |\n|---|---|---|---|")
    for each in more_labels(options.runs):
        print(f"| {each.failed:,} | {each.left:.1%} | {each.broken:.1%} | {each.estimated:.1%} |")


if __name__ == "__main__":
    main()
