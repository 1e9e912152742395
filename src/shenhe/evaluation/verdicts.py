"""Scores of verdicts against labels: false passes, false fails, calibration of `p_pass`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from shenhe.proportions import Share, kappa, mcnemar
from shenhe.rows.outcomes import Outcome
from shenhe.values import EXPECTED, FAIL, PASS

BINS = 10


class ReliabilityBin(NamedTuple):
    """Groups with about the same `p_pass`: the mean of it, and the share that people passed."""

    low: float
    groups: int
    mean_p_pass: float
    passed: float


@dataclass(slots=True)
class VerdictScores:
    """Counts over some groups; `confusion` of labelled ones, by (label, verdict or nothing)."""

    groups: int = 0
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    calibration: list[tuple[float, bool]] = field(default_factory=list)
    """Of labelled groups: `p_pass`, and whether people passed the group."""

    def add(self, outcome: Outcome) -> None:
        """Count a group."""
        self.groups += 1
        if outcome.label is None:
            return
        self.confusion[outcome.label, outcome.verdict or ""] += 1
        if outcome.p_pass is not None:
            self.calibration.append((outcome.p_pass, outcome.label == "pass"))

    @property
    def coverage(self) -> Share:
        """Labelled groups that the model decided."""
        decided = sum(n for (_, verdict), n in self.confusion.items() if verdict)
        return Share(decided, self.confusion.total())

    @property
    def accuracy(self) -> Share:
        """Decided groups that the model decided as people did."""
        right = sum(self.confusion[label, verdict] for label, verdict in EXPECTED.items())
        return Share(right, self.coverage.count)

    @property
    def false_pass(self) -> Share:
        """Groups that people failed and the model passed."""
        return Share(self.confusion["fail", PASS], self._count_labelled("fail"))

    @property
    def bad_passes(self) -> Share:
        """Groups that the model passed and people failed: of passed groups, not of failed ones."""
        passed = sum(self.confusion[label, PASS] for label in EXPECTED)
        return Share(self.confusion["fail", PASS], passed)

    @property
    def false_fail(self) -> Share:
        """Groups that people passed and the model failed."""
        return Share(self.confusion["pass", FAIL], self._count_labelled("pass"))

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa of decided groups."""
        labels = {PASS: "pass", FAIL: "fail"}
        counts = self.confusion.items()
        return kappa({(label, labels[verdict]): n for (label, verdict), n in counts if verdict})

    @property
    def brier(self) -> float | None:
        """Brier score of `p_pass`, its mean squared error; a coin has 0.25."""
        if not self.calibration:
            return None
        squares = sum((p - passed) ** 2 for p, passed in self.calibration)
        return squares / len(self.calibration)

    @property
    def reliability(self) -> list[ReliabilityBin]:
        """How often people passed groups of about the same `p_pass`."""
        bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
        for p, passed in self.calibration:
            bins[min(int(p * BINS), BINS - 1)].append((p, passed))
        return [
            ReliabilityBin(
                number / BINS,
                len(groups),
                sum(p for p, _ in groups) / len(groups),
                sum(passed for _, passed in groups) / len(groups),
            )
            for number, groups in sorted(bins.items())
        ]

    def to_json(self) -> dict[str, object]:
        """Give all figures, shares with their intervals."""
        confusion = {
            f"{label}/{verdict or 'undecided'}": n for (label, verdict), n in self.confusion.items()
        }
        return {
            "coverage": self.coverage.to_json(),
            "accuracy": self.accuracy.to_json(),
            "false_pass": self.false_pass.to_json(),
            "bad_passes": self.bad_passes.to_json(),
            "false_fail": self.false_fail.to_json(),
            "groups": self.groups,
            "confusion": confusion,
            "kappa": self.kappa,
            "brier": self.brier,
            "reliability": [each._asdict() for each in self.reliability],
        }

    def _count_labelled(self, label: str) -> int:
        return sum(n for (true_label, _), n in self.confusion.items() if true_label == label)


class RunComparison(NamedTuple):
    """Two runs on the same labelled groups; `p_value` is McNemar's."""

    groups: int
    only_first_right: int
    only_second_right: int
    p_value: float


def score_verdicts(outcomes: Iterable[Outcome]) -> dict[str, VerdictScores]:
    """Count by mission, and over all under an empty name.

    Example:
        share = score_verdicts(read_outcomes(run_dir))[""].false_pass

    """
    scores: dict[str, VerdictScores] = defaultdict(VerdictScores)
    total = VerdictScores()
    for outcome in outcomes:
        scores[outcome.mission].add(outcome)
        total.add(outcome)
    return scores | {"": total}


def compare(first: Iterable[Outcome], second: Iterable[Outcome]) -> RunComparison:
    """Compare two runs on the groups that both have, and people labelled.

    Example:
        comparison = compare(read_outcomes(Path("before")), read_outcomes(Path("after")))

    """
    by_key = {outcome.key: outcome for outcome in second}
    pairs = [
        (outcome.right, by_key[outcome.key].right)
        for outcome in first
        if outcome.label is not None and outcome.key in by_key
    ]
    only_first = sum(a and not b for a, b in pairs)
    only_second = sum(b and not a for a, b in pairs)
    return RunComparison(len(pairs), only_first, only_second, mcnemar(only_first, only_second))
