"""When the answers to a group make a verdict: votes, thresholds, evidence; in doubt undecided."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

from shenhe.engines.logprobs import is_logprob
from shenhe.errors import OptionError, spelled
from shenhe.formats.text_formats import PLAIN, VerdictFormat
from shenhe.messages import Answer, Request
from shenhe.row_types import known_probability
from shenhe.rows.ledger import Json
from shenhe.rows.promises import Promise
from shenhe.runs.work import Outcome, Rejection, Success
from shenhe.values import FAIL, PASS, Judgement

VOTE_TEMPERATURE = 0.7
"""Minimum temperature of all votes but the first: greedy votes would be equal."""


def p_pass(answer: Answer, form: VerdictFormat = PLAIN.verdict) -> float | None:
    """Compute the probability of 通过 against 不通过 as the opening of an answer.

    None if a score is missing or is no log-probability (NaN, infinite, above 0).
    """
    odds = log_odds(answer, form)
    return None if odds is None else 1 / (1 + math.exp(min(-odds, 700.0)))


def log_odds(answer: Answer, form: VerdictFormat = PLAIN.verdict) -> float | None:
    """Give the log-odds of 通过 against 不通过, which do not saturate; None as for `p_pass`."""
    passed, failed = (answer.choice_logprobs.get(choice) for choice in form.openings)
    if not is_logprob(passed) or not is_logprob(failed):
        return None
    return passed - failed


class VoteResult(NamedTuple):
    """The judgement that won and its answer; or no judgement, the answer if any, and the reason."""

    judgement: Judgement | None
    answer: Answer | None
    rejection: Rejection | None = None


@dataclass(frozen=True, slots=True)
class VerdictPolicy:
    """How sure a verdict must be, and whether its evidence is checked.

    通过 needs a p_pass of `pass_above` or more, or the log-odds of the `promise`; 不通过 needs one
    of `fail_below` or less. More than half of the `votes` must agree. Without `evidence` the rules
    of missions are turned off. With `reused` undecided so is a group whose photo another work order
    has too, of this run or of the folders of `earlier` ones.

        >>> VerdictPolicy(pass_above=0.9, votes=3).decisive_options
        {'pass_above': 0.9, 'votes': 3}
    """

    pass_above: float | None = None
    fail_below: float | None = None
    votes: int = 1
    evidence: bool = True
    promise: Promise | None = None
    reused: Literal["told", "undecided"] = "told"
    earlier: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Check the thresholds and the number of votes.

        Raises: OptionError.
        """
        for name, value in (("pass_above", self.pass_above), ("fail_below", self.fail_below)):
            if value is not None and not 0 <= value <= 1:
                raise OptionError(name, value, "must be from 0 to 1")
        if (
            self.pass_above is not None
            and self.fail_below is not None
            and self.pass_above < self.fail_below
        ):
            problem = f"is less than {spelled('fail_below', self.fail_below)}"
            raise OptionError("pass_above", self.pass_above, problem)
        if self.promise is not None and self.pass_above is not None:
            problem = f"{spelled('promise')} has thresholds of its own; give one of the two"
            raise OptionError("pass_above", self.pass_above, problem)
        if self.votes < 1:
            raise OptionError("votes", self.votes, "must be 1 or more")

    @property
    def decisive_options(self) -> dict[str, float | int | str | list[str]]:
        """The options that differ from the defaults, as manifests hold them.

        Evidence rules are a mission's: see `MissionPolicy`.
        """
        options: dict[str, float | int | str | list[str] | None] = {
            "pass_above": self.pass_above,
            "fail_below": self.fail_below,
            "votes": self.votes if self.votes > 1 else None,
            "promise": self.promise.hash if self.promise else None,
            "reused": self.reused if self.reused != "told" else None,
            "earlier": [str(run.absolute()) for run in self.earlier] or None,
        }
        return {name: value for name, value in options.items() if value is not None}

    @property
    def holds_reused(self) -> bool:
        """Whether a group whose photo another work order has too is undecided."""
        return self.reused == "undecided"

    def requests_for_votes(self, request: Request) -> tuple[Request, ...]:
        """Repeat a request, once for each vote."""
        repeats = (
            replace(request, key=f"{request.key}\x1e{vote}", temperature=VOTE_TEMPERATURE)
            for vote in range(2, self.votes + 1)
        )
        return (request, *repeats)

    def count_votes(self, outcomes: Sequence[Outcome[Judgement]]) -> VoteResult:
        """Find the majority; an unreadable vote counts towards the total and for no verdict."""
        readable = [outcome for outcome in outcomes if isinstance(outcome, Success)]
        if not readable:
            first = next(outcome for outcome in outcomes if isinstance(outcome, Rejection))
            return VoteResult(None, first.answer, first)
        counts = Counter(outcome.value.verdict for outcome in readable)
        ruling, votes = counts.most_common(1)[0]
        if 2 * votes <= len(outcomes):
            tally = ", ".join(f"{count} {ruling}" for ruling, count in sorted(counts.items()))
            return _unsure(readable[0].answer, f"of {len(outcomes)} votes {tally}: no majority")
        winner = next(outcome for outcome in readable if outcome.value.verdict == ruling)
        return VoteResult(winner.value, winner.answer)

    def accepts(self, row: Json) -> bool:
        """Whether a verdict row meets the thresholds; an undecided row does.

        Earlier versions accepted a 通过 whose probability was NaN.
        """
        ruling = row.get("verdict")
        ruling = ruling if isinstance(ruling, str) else None
        return not self.doubt(ruling, known_probability(row.get("p_pass")))

    def doubt(self, ruling: str | None, probability: float | None) -> str:
        """Describe why a verdict misses its threshold; empty if it does not."""
        threshold = {PASS: self.pass_above, FAIL: self.fail_below}.get(ruling or "")
        if threshold is None:
            return ""
        if probability is None:
            return f"{ruling}, and nothing is known of its probability"
        if ruling == PASS and probability < threshold:
            return f"{ruling} with p_pass {probability:.3f}, not at least {threshold}"
        if ruling == FAIL and probability > threshold:
            return f"{ruling} with p_pass {probability:.3f}, not at most {threshold}"
        return ""


def _unsure(answer: Answer, reason: str) -> VoteResult:
    return VoteResult(None, answer, Rejection("unsure", reason, answer.attempt + 1, answer))
