"""From what a model said of a group to a verdict, or to none: when in doubt, undecided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from shenhe.errors import UsageError
from shenhe.messages import Answer, Request
from shenhe.row_types import known_probability
from shenhe.rows.ledger import Json
from shenhe.runs.drive import Bad, Good
from shenhe.runs.probability import p_pass
from shenhe.values import FAIL, PASS, Judgement

VOTE_TEMPERATURE = 0.7
"""As warm as this are all votes but the first: greedy ones would only say the same again."""


class Decision(NamedTuple):
    """A judgement and the answer it stands in; or None, the answer there was, and why."""

    judgement: Judgement | None
    answer: Answer | None
    why: Bad | None = None


@dataclass(frozen=True, slots=True)
class Deciding:
    """How sure a verdict must be.

    通过 stands where p_pass is `pass_above` or more, 不通过 where it is `fail_below` or less. Of
    several votes more than half must agree.
    """

    pass_above: float | None = None
    fail_below: float | None = None
    votes: int = 1

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises: UsageError that names the option.
        """
        for option, value in (("pass-above", self.pass_above), ("fail-below", self.fail_below)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"--{option} {value}: must be from 0 to 1")
        if None not in (self.pass_above, self.fail_below) and self.above < self.below:
            raise UsageError(
                f"--pass-above {self.pass_above}: is less than --fail-below {self.below}"
            )
        if self.votes < 1:
            raise UsageError(f"--votes {self.votes}: must be 1 or more")

    @property
    def above(self) -> float:
        """The least p_pass of a 通过."""
        return 0.0 if self.pass_above is None else self.pass_above

    @property
    def below(self) -> float:
        """The highest p_pass of a 不通过."""
        return 1.0 if self.fail_below is None else self.fail_below

    @property
    def options(self) -> dict[str, Any]:
        """What decides rows, as manifests hold it; nothing where nothing is asked for."""
        given = {"pass_above": self.pass_above, "fail_below": self.fail_below}
        found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return found | ({"votes": self.votes} if self.votes > 1 else {})

    def requests(self, request: Request) -> tuple[Request, ...]:
        """Ask as often as there are votes."""
        further = (
            replace(request, key=f"{request.key}\x1e{vote}", temperature=VOTE_TEMPERATURE)
            for vote in range(2, self.votes + 1)
        )
        return (request, *further)

    def decide(self, outcomes: Sequence[Good[Judgement] | Bad]) -> Decision:
        """Decide; an unreadable vote counts for nobody, and for no 通过."""
        good = [outcome for outcome in outcomes if isinstance(outcome, Good)]
        if not good:
            bad = next(outcome for outcome in outcomes if isinstance(outcome, Bad))
            return Decision(None, bad.answer, bad)
        counts = Counter(outcome.value.verdict for outcome in good)
        ruling, most = counts.most_common(1)[0]
        if 2 * most <= len(outcomes):
            told = ", ".join(f"{count} {said}" for said, count in sorted(counts.items()))
            return _unsure(good[0].answer, f"of {len(outcomes)} votes {told}: no majority")
        chosen = next(outcome for outcome in good if outcome.value.verdict == ruling)
        if doubt := self._doubt(ruling, p_pass(chosen.answer)):
            return _unsure(chosen.answer, doubt)
        return Decision(chosen.value, chosen.answer)

    def stands(self, row: Json) -> bool:
        """Whether a finished row is as sure as is asked, or undecided anyhow.

        Earlier versions let a 通过 stand whose probability was NaN.
        """
        return not self._doubt(row.get("verdict"), known_probability(row.get("p_pass")))

    def _doubt(self, ruling: str | None, known: float | None) -> str:
        """Say why a verdict is not as sure as is asked; nothing where it is."""
        asked = {PASS: self.pass_above, FAIL: self.fail_below}.get(ruling or "")
        if asked is None:
            return ""
        if known is None:
            return f"{ruling}, and nothing is known of its probability"
        if (ruling == PASS and known < asked) or (ruling == FAIL and known > asked):
            wanted = f"at least {asked}" if ruling == PASS else f"at most {asked}"
            return f"{ruling} with p_pass {known:.3f}, not {wanted}"
        return ""


def _unsure(answer: Answer, why: str) -> Decision:
    return Decision(None, answer, Bad("unsure", why, answer.attempt + 1, answer))
