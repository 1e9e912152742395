"""What can be promised of a sample of groups, and what labels of further groups would bring."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shenhe.promise.sample import Sample
from shenhe.promise.threshold import Goal, choose_threshold, count_passing
from shenhe.proportions import Share
from shenhe.rows.outcomes import Outcome
from shenhe.rows.words import Words

LABEL_COUNTS: Final = (59, 100, 200, 400, 1000)
"""Numbers of failed groups for which it is told what they would leave to people."""
_DRAWS: Final = 400
NOTHING: Final = Words("", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """What can be promised of a sample: a threshold, or none and the reason.

    `failed` counts the failed groups that it rests on, one a cluster; `slipped` those of them that
    pass, `allowed` how many may. `all_slipped` are those of all failed groups. `looks` says what
    a promise by audit rests on; such a one allows no certain number.
    """

    sample: Sample
    threshold: float | None
    problem: Words
    failed: int
    slipped: int
    allowed: int
    all_slipped: Share
    left_to_people: Share
    looks: Words = NOTHING


def find_promise(
    sample: Sample, goal: Goal, cluster_of: Mapping[str, str] | None = None
) -> Finding:
    """Find what can be promised of a sample, with one random failed group of each cluster."""
    drawn = draw_one_each(sample.failed.values(), cluster_of or {})
    slips = log_odds_of_passing(drawn)
    threshold, problem = None, _describe_obstacle(sample, len(drawn), slips, goal)
    if not problem.en:
        threshold = choose_threshold(slips, len(drawn), goal, sample.floor)
    return _finding(sample, drawn, threshold, problem, goal)


def apply_threshold(
    sample: Sample, pooled: Finding, goal: Goal, cluster_of: Mapping[str, str]
) -> Finding:
    """Say what the threshold of several missions does in one of them."""
    drawn = draw_one_each(sample.failed.values(), cluster_of)
    return _finding(sample, drawn, pooled.threshold, pooled.problem, goal)


def _finding(
    sample: Sample, drawn: Sequence[Outcome], threshold: float | None, problem: Words, goal: Goal
) -> Finding:
    above = math.inf if threshold is None else threshold
    return Finding(
        sample,
        threshold,
        problem,
        len(drawn),
        _count_slips(drawn, threshold),
        goal.slips_allowed(len(drawn)),
        Share(_count_slips(sample.failed.values(), threshold), len(sample.failed)),
        share_left(sample, above),
    )


def share_left(sample: Sample, threshold: float) -> Share:
    """Give the share of all groups that are left to people at a threshold."""
    return Share(_left(sample, sorted(sample.scores), threshold), sample.groups)


def draw_one_each(failed: Iterable[Outcome], cluster_of: Mapping[str, str]) -> list[Outcome]:
    """Draw one random group of each cluster; groups that are in none stand for themselves.

    The draw depends on the keys of the groups alone: repeating it brings the same ones.
    """
    drawn: dict[str, tuple[bytes, Outcome]] = {}
    for outcome in failed:
        ticket = hashlib.blake2b(outcome.key.encode("utf-8", "surrogatepass"), digest_size=8)
        entry = (ticket.digest(), outcome)
        cluster = cluster_of.get(outcome.key, outcome.key)
        if cluster not in drawn or entry[0] < drawn[cluster][0]:
            drawn[cluster] = entry
    return [outcome for _, outcome in drawn.values()]


def log_odds_of_passing(outcomes: Iterable[Outcome]) -> list[float]:
    """List the log-odds of those groups that can pass."""
    return [o.log_odds for o in outcomes if o.can_pass and o.log_odds is not None]


def expect_left(
    finding: Finding, goal: Goal, counts: Sequence[int] = LABEL_COUNTS
) -> dict[int, float | None]:
    """Estimate the share left to people, had so many failed groups been labelled.

    The failed groups at hand stand for those to come. None: nothing could be promised on so few.
    """
    slips = sorted(log_odds_of_passing(finding.sample.failed.values()), reverse=True)
    return {
        count: _expect_left(finding.sample, slips, count, goal)
        if goal.slips_allowed(count) >= 0 and finding.sample.failed
        else None
        for count in counts
    }


def _expect_left(sample: Sample, slips: Sequence[float], count: int, goal: Goal) -> float:
    """Average over samples: the first log-odds that must not pass has a beta-distributed rank."""
    allowed, chance = goal.slips_allowed(count), random.Random(count)  # noqa: S311 - no secret
    scores, total, lowest = sorted(sample.scores), 0, sample.floor
    for _ in range(_DRAWS):
        rank = chance.betavariate(allowed + 1, count - allowed) * len(sample.failed)
        slip = slips[int(rank)] if rank < len(slips) else -math.inf
        total += _left(sample, scores, max(lowest, math.nextafter(slip, math.inf)))
    return total / _DRAWS / max(1, sample.groups)


def _left(sample: Sample, scores: Sequence[float], threshold: float) -> int:
    return sample.groups - sample.failed_by_machine - count_passing(scores, threshold)


def _count_slips(outcomes: Iterable[Outcome], threshold: float | None) -> int:
    return 0 if threshold is None else sum(outcome.passes(threshold) for outcome in outcomes)


def _describe_obstacle(sample: Sample, failed: int, slips: Sequence[float], goal: Goal) -> Words:
    """Say why nothing can be promised, and what to do; empty if something can."""
    if sample.is_mixed:
        return describe_mixture(sample)
    allowed, needed = goal.slips_allowed(failed), goal.failed_needed
    if allowed < 0:
        return Words(
            f"人工判不合格的有 {failed:,} 组，要 {needed} 组：还要标出 {needed - failed} 组",
            f"{failed:,} failed groups, {needed} are needed:"
            f" label {needed - failed} more that people fail",
        )
    if sample.unseen and not any(sample.floor <= score < math.inf for score in sample.scores):
        return Words(
            f"可放行的组里有 {sample.unseen:,} 组没有人工结论，最有把握的也在其中，"
            "所以有结论的不是随机样本：请判完所有可放行的组，或用 `shenhe review` 的盲审随机抽样",
            f"{sample.unseen:,} groups that pass have no decision, the surest ones among them, so"
            " the decided ones are no random sample: decide all that pass, or draw a random sample:"
            " the blind audit of `shenhe review`",
        )
    return _describe_scores(sample, failed, sum(slip == math.inf for slip in slips), allowed)


def describe_mixture(sample: Sample) -> Words:
    """Say what made the rows of a sample that several have made."""
    if len(sample.origins) > 1:
        names = "; ".join(f"{count} by {origin}" for origin, count in sample.origins.most_common(3))
        return Words(
            f"它的结论不是同一个模型、提示词和规则判的：{names}；请用同一个判定全部",
            f"its rows were not made by one and the same: {names}: judge all by one",
        )
    lines = sample.lines_origins.most_common(3)
    names = "; ".join(f"{count} by {origin}" for origin, count in lines)
    return Words(
        f"它的照片描述不是同一个模型和提示词写的：{names}；请用同一个写全部",
        f"its lines were not made by one and the same: {names}: summarize all by one",
    )


def _describe_scores(sample: Sample, failed: int, sure: int, allowed: int) -> Words:
    """Say why the scores tell too little for a threshold; empty if they tell enough."""
    if sample.floor == math.inf:
        return Words(
            "放行的组都没有 p_pass：请换一个给出它的引擎判定",
            "no group that passes has a p_pass: judge with an engine that gives one",
        )
    if sure > allowed:
        return Words(
            f"人工判不合格的 {failed} 组里有 {sure} 组的 p_pass 正好是 1，行里没有对数几率，"
            f"分不出高低；至多可放行 {allowed} 组：请重新判定",
            f"{sure} of {failed} failed groups have a p_pass of"
            f" exactly 1, and rows without log-odds tell no more; {allowed} may: judge anew",
        )
    return NOTHING
