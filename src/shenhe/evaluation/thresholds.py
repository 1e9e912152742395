"""Thresholds of `p_pass`, and what each would let through and leave to people."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from shenhe.proportions import Share
from shenhe.rows.outcomes import Outcome
from shenhe.values import FAIL, PASS


class Threshold(NamedTuple):
    """A `pass_above`, its false passes, and the groups that it leaves to people."""

    pass_above: float
    false_pass: Share
    left_to_people: Share


def trade_off(outcomes: Iterable[Outcome], steps: int = 60) -> list[Threshold]:
    """Measure what each of some thresholds would let through, and leave to people."""
    labelled = [outcome for outcome in outcomes if outcome.label is not None]
    bad = [outcome for outcome in labelled if outcome.label == "fail"]
    passing, bad_passing = _known_probabilities(labelled), _known_probabilities(bad)
    if not passing:
        return []
    decided = len(passing) + sum(outcome.verdict == FAIL for outcome in labelled)
    last = len(passing) - 1
    return [
        Threshold(
            above,
            Share(len(bad_passing) - bisect_left(bad_passing, above), len(bad)),
            Share(len(labelled) - decided + bisect_left(passing, above), len(labelled)),
        )
        for above in sorted({passing[round(n * last / steps)] for n in range(steps + 1)})
    ]


def _known_probabilities(outcomes: Iterable[Outcome]) -> list[float]:
    """List the known `p_pass` of groups that the model passed, in ascending order."""
    return sorted(
        outcome.p_pass
        for outcome in outcomes
        if outcome.verdict == PASS and outcome.p_pass is not None
    )
