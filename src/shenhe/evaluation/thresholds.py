"""Thresholds of `p_pass`: which one keeps a promise, and what each would cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from shenhe.proportions import Share, binomial_tail
from shenhe.rows.outcomes import Outcome
from shenhe.values import FAIL, PASS


class Threshold(NamedTuple):
    """A `pass_above`, its false passes, and the groups that it leaves to people."""

    pass_above: float
    false_pass: Share
    left_to_people: Share

    def to_json(self) -> dict[str, object]:
        """Give the threshold and its shares."""
        return {
            "pass_above": self.pass_above,
            "false_pass": self.false_pass.to_json(),
            "left_to_people": self.left_to_people.to_json(),
        }


def choose_threshold(
    outcomes: Iterable[Outcome], highest: float, confidence: float
) -> Threshold | None:
    """Find the lowest `pass_above` whose false-pass rate is at most `highest`.

    Over samples of groups like these, a threshold that breaks the promise is chosen in at most
    1 - `confidence` of them. None: no threshold can promise that, on so few groups that people
    failed.
    Source: Learn then Test (Angelopoulos et al., 2021), fixed sequence from the strictest on, with
    exact binomial tails.

        threshold = choose_threshold(read_outcomes(run_dir), 0.02, 0.95)
    """
    labelled = [outcome for outcome in outcomes if outcome.label is not None]
    bad = [outcome for outcome in labelled if outcome.label == "fail"]
    passing = _known_probabilities(bad)[::-1]
    chosen = None
    for count in range(len(passing) + 1):
        if not bad or binomial_tail(count, len(bad), highest) > 1 - confidence:
            break
        # Between two probabilities nothing changes: the lowest threshold of this count is chosen.
        lowest = _round_above(passing[count]) if count < len(passing) else 0.0
        chosen = lowest if lowest <= 1 else None
    if chosen is None:
        return None
    false_passes = sum(_passes(outcome, chosen) for outcome in bad)
    left = sum(_is_left_to_people(outcome, chosen) for outcome in labelled)
    return Threshold(chosen, Share(false_passes, len(bad)), Share(left, len(labelled)))


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


def _passes(outcome: Outcome, pass_above: float) -> bool:
    """Whether a group passes with a threshold, as in `judge`."""
    return outcome.verdict == PASS and outcome.p_pass is not None and outcome.p_pass >= pass_above


def _is_left_to_people(outcome: Outcome, pass_above: float) -> bool:
    if outcome.verdict is None:
        return True
    return outcome.verdict == PASS and not _passes(outcome, pass_above)


def _round_above(p_pass: float) -> float:
    """Give the next number of six digits above a probability, to write in a command line."""
    return round(int(p_pass * 1e6 + 1) / 1e6, 6)
