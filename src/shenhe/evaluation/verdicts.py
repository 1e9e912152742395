"""How good verdicts are, against labels: what slips through, what is stopped in vain, how sure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from shenhe.errors import RunError
from shenhe.evaluation.intervals import Share, binomial_tail, kappa, mcnemar
from shenhe.row_types import VerdictRow
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.rows.readers import read_verdicts
from shenhe.shards import list_rows_files
from shenhe.values import EXPECTED, FAIL, PASS, Label

BINS = 10


class Outcome(NamedTuple):
    """What is counted of one group; `label` is what people said, `verdict` what the model did."""

    key: str
    mission: str
    label: Label | None
    verdict: str | None
    p_pass: float | None

    @classmethod
    def of(cls, row: VerdictRow) -> Self:
        """Keep of a row what is counted."""
        return cls(row.key, row.mission, row.label, row.verdict, row.p_pass)

    @property
    def right(self) -> bool:
        """Whether the model decided as people did."""
        return self.label is not None and self.verdict == EXPECTED[self.label]


class Bin(NamedTuple):
    """Groups whose `p_pass` lies together: the mean of it, and the share that people passed."""

    low: float
    groups: int
    mean_p_pass: float
    passed: float


@dataclass(slots=True)
class VerdictScores:
    """Counts over some groups; `confusion` of labelled ones, by (label, verdict or nothing)."""

    groups: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    sure: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count a group."""
        self.groups += 1
        if outcome.label is None:
            return
        self.confusion[outcome.label, outcome.verdict or ""] += 1
        if outcome.p_pass is not None:
            self.sure.append((outcome.p_pass, outcome.label == "pass"))

    @property
    def coverage(self) -> Share:
        """Labelled groups that were decided."""
        decided = sum(n for (_, verdict), n in self.confusion.items() if verdict)
        return Share(decided, self.confusion.total())

    @property
    def accuracy(self) -> Share:
        """Decided groups that were decided as people did."""
        right = sum(self.confusion[label, verdict] for label, verdict in EXPECTED.items())
        return Share(right, self.coverage.count)

    @property
    def false_pass(self) -> Share:
        """Groups that people failed, and the model passed: what slips through."""
        return Share(self.confusion["fail", PASS], self._labelled("fail"))

    @property
    def false_fail(self) -> Share:
        """Groups that people passed, and the model failed: what is stopped in vain."""
        return Share(self.confusion["pass", FAIL], self._labelled("pass"))

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of decided groups."""
        said = {PASS: "pass", FAIL: "fail"}
        table = {(a, said[b]): n for (a, b), n in self.confusion.items() if b}
        return kappa(table)

    @property
    def brier(self) -> float | None:
        """The mean square of what `p_pass` is off by; 0.25 is that of a coin."""
        if not self.sure:
            return None
        return sum((p - passed) ** 2 for p, passed in self.sure) / len(self.sure)

    @property
    def reliability(self) -> list[Bin]:
        """How often people passed groups of about the same `p_pass`."""
        found: dict[int, list[tuple[float, bool]]] = defaultdict(list)
        for p, passed in self.sure:
            found[min(int(p * BINS), BINS - 1)].append((p, passed))
        return [
            Bin(
                number / BINS,
                len(some),
                sum(p for p, _ in some) / len(some),
                sum(passed for _, passed in some) / len(some),
            )
            for number, some in sorted(found.items())
        ]

    def to_json(self) -> dict[str, Any]:
        """Give all figures, shares with their intervals."""
        shares = {
            name: getattr(self, name)
            for name in ("coverage", "accuracy", "false_pass", "false_fail")
        }
        told: dict[str, Any] = {name: share.to_json() for name, share in shares.items()}
        confusion = {f"{a}/{b or 'undecided'}": n for (a, b), n in self.confusion.items()}
        return told | {
            "groups": self.groups,
            "confusion": confusion,
            "kappa": self.kappa,
            "brier": self.brier,
            "reliability": [one._asdict() for one in self.reliability],
        }

    def _labelled(self, label: str) -> int:
        return sum(n for (said, _), n in self.confusion.items() if said == label)


class Threshold(NamedTuple):
    """A `pass_above` that keeps a promise, and what it leaves to people."""

    pass_above: float
    false_pass: Share
    left_to_people: Share

    def to_json(self) -> dict[str, Any]:
        """Give what is promised, and what was seen."""
        shares = {"false_pass": self.false_pass, "left_to_people": self.left_to_people}
        told: dict[str, Any] = {"pass_above": self.pass_above}
        return told | {name: share.to_json() for name, share in shares.items()}


class Comparison(NamedTuple):
    """Two runs on the same labelled groups; `p_value` is McNemar's."""

    groups: int
    only_first_right: int
    only_second_right: int
    p_value: float


Truth = Literal["labels", "decisions"]
"""What verdicts are held against: labels of the photo tree, or what people decided in review."""


def read_outcomes(run_dir: Path, truth: Truth = "labels") -> list[Outcome]:
    """Read the verdicts of a run; against decisions, what nobody decided has no label.

    Raises: RunError if it has none, or a row is of another form; if nobody has decided anything.
    """
    found = list(_outcomes(run_dir))
    if truth == "decisions":
        said = _decided(run_dir)
        found = [outcome._replace(label=said.get(outcome.key)) for outcome in found]
    if not found:
        raise RunError(f"{run_dir}: no verdicts there; run `shenhe judge` or `shenhe run` first")
    return found


def score_verdicts(outcomes: Iterable[Outcome]) -> dict[str, VerdictScores]:
    """Count by mission, and over all under an empty name."""
    scores: dict[str, VerdictScores] = defaultdict(VerdictScores)
    every = VerdictScores()
    for outcome in outcomes:
        scores[outcome.mission].add(outcome)
        every.add(outcome)
    return scores | {"": every}


def choose_threshold(
    outcomes: Iterable[Outcome], highest: float, confidence: float
) -> Threshold | None:
    """Find the lowest `pass_above` whose false-pass rate is at most `highest`, so confidently.

    Over samples of groups like these, a threshold that breaks the promise is chosen in at most
    1 - `confidence` of them. None: no threshold can promise that, on so few groups that people
    failed.
    Source: Learn then Test (Angelopoulos et al., 2021), fixed sequence from the strictest on, with
    exact binomial tails.
    """
    labelled = [outcome for outcome in outcomes if outcome.label is not None]
    bad = [outcome for outcome in labelled if outcome.label == "fail"]
    # Of the bad groups that the model passed; where p_pass is not known none is let through.
    slips = sorted(
        (p for o in bad if o.verdict == PASS and (p := o.p_pass) is not None), reverse=True
    )
    chosen = None
    for slipped in range(len(slips) + 1):
        if not bad or binomial_tail(slipped, len(bad), highest) > 1 - confidence:
            break
        # Between one of them and the next nothing changes: as low as lets so many through.
        lowest = _above(slips[slipped]) if slipped < len(slips) else 0.0
        chosen = lowest if lowest <= 1 else None
    if chosen is None:
        return None
    through = [_passes(outcome, chosen) for outcome in bad]
    left = [o.verdict is None or (o.verdict == PASS and not _passes(o, chosen)) for o in labelled]
    return Threshold(chosen, Share(sum(through), len(bad)), Share(sum(left), len(labelled)))


def trade_off(outcomes: Iterable[Outcome], steps: int = 60) -> list[Threshold]:
    """Tell what each of some thresholds would let through, and leave to people."""
    labelled = [outcome for outcome in outcomes if outcome.label is not None]
    passed = sorted(o.p_pass for o in labelled if o.verdict == PASS and o.p_pass is not None)
    slips = sorted(
        o.p_pass
        for o in labelled
        if o.verdict == PASS and o.p_pass is not None and o.label == "fail"
    )
    bad = sum(outcome.label == "fail" for outcome in labelled)
    decided = len(passed) + sum(outcome.verdict == FAIL for outcome in labelled)
    if not passed:
        return []
    at = sorted({passed[round(n * (len(passed) - 1) / steps)] for n in range(steps + 1)})
    return [
        Threshold(
            above,
            Share(len(slips) - bisect_left(slips, above), bad),
            Share(len(labelled) - decided + bisect_left(passed, above), len(labelled)),
        )
        for above in at
    ]


def compare(first: Iterable[Outcome], second: Iterable[Outcome]) -> Comparison:
    """Compare two runs on the groups that both have, and people labelled."""
    others = {outcome.key: outcome for outcome in second}
    pairs = [
        (one.right, others[one.key].right)
        for one in first
        if one.label is not None and one.key in others
    ]
    only_first = sum(a and not b for a, b in pairs)
    only_second = sum(b and not a for a, b in pairs)
    return Comparison(len(pairs), only_first, only_second, mcnemar(only_first, only_second))


def has_decisions(run_dir: Path) -> bool:
    """Whether people have looked at a run in the review app."""
    return decisions_file(run_dir).exists()  # what is no file there is told when it is opened


def _decided(run_dir: Path) -> dict[str, Label]:
    """Give what people decided, as labels; 待定 decides nothing."""
    if not has_decisions(run_dir):
        raise RunError(f"{run_dir}: nobody has decided anything; `shenhe review` is where to")
    labels: dict[str, Label] = {PASS: "pass", FAIL: "fail"}
    return {
        decision.key: labels[decision.opinion.choice]
        for decision in Decisions(run_dir).all_current()
        if decision.opinion and decision.opinion.choice in labels
    }


def _outcomes(run_dir: Path) -> Iterator[Outcome]:
    folder = run_dir / "stage_b" if (run_dir / "stage_b").is_dir() else run_dir
    for path in list_rows_files(folder):
        yield from map(Outcome.of, read_verdicts(path))


def _passes(outcome: Outcome, pass_above: float) -> bool:
    """Whether a group passes with a threshold, as `judge` has it."""
    known = outcome.p_pass is not None and outcome.p_pass >= pass_above
    return outcome.verdict == PASS and known


def _above(p_pass: float) -> float:
    """Give the next figure of six digits above a probability: what stands in a command line."""
    return round(int(p_pass * 1e6 + 1) / 1e6, 6)
