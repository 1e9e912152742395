"""What the lines of a run allow: which failed groups a rule can stop, and which none can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from shenhe.evaluation.fail_reasons import FailReasons
from shenhe.proportions import Share
from shenhe.row_types import Row
from shenhe.stages import evidence
from shenhe.values import EVIDENCE_AGAINST, EVIDENCE_MISSING, EvidenceItem, Label

Kind = Literal["fault", "missing", "doubtful", "complete", "unread"]
"""What the lines of a group say: a line states a fault; a need is in none; needs are only doubtful;
neither, so that nothing wrong is to be seen; or they are not whole, and people look at the group.
"""
KINDS: Final[tuple[Kind, ...]] = ("fault", "missing", "doubtful", "complete", "unread")
HELD: Final[tuple[Kind, ...]] = ("fault", "missing", "doubtful")
"""Kinds whose 通过 the rules hold back."""


class EvidenceGroup(Row):
    """A group that people failed, or whose 通过 the rules would hold back, as a list has it.

    `items` are the needs that are not seen and the faults that are stated; `model_passed` says
    whether the model said 通过, null without verdicts; `reason` is that of people, where rows carry
    one.
    """

    group_id: str
    mission: str
    label: Label
    kind: Kind
    model_passed: bool | None = None
    reason: str = ""
    items: tuple[EvidenceItem, ...] = ()


@dataclass(slots=True)
class EvidenceTally:
    """Labelled groups of a mission by what their lines say.

    `false_passes` are the groups that people failed and the model passed, whatever held them back;
    `right_passes` those that both passed. `like_passed` are the failed groups with complete lines
    of which a group that people passed shows the very same, texts of labels and counts aside.

        >>> EvidenceTally(failed=Counter(missing=3, complete=1, unread=1)).lowest_false_pass
        Share(count=1, total=4)
    """

    failed: Counter[Kind] = field(default_factory=Counter)
    passed: Counter[Kind] = field(default_factory=Counter)
    false_passes: Counter[Kind] = field(default_factory=Counter)
    right_passes: Counter[Kind] = field(default_factory=Counter)
    like_passed: int = 0

    def add(self, label: Label, kind: Kind, *, ruled_pass: bool) -> None:
        """Count a group."""
        (self.failed if label == "fail" else self.passed)[kind] += 1
        if ruled_pass:
            (self.false_passes if label == "fail" else self.right_passes)[kind] += 1

    @property
    def lowest_false_pass(self) -> Share:
        """The false-pass share of a judge that passes every group whose lines are complete.

        Of the groups that people failed and whose lines are whole, those whose lines show nothing
        wrong: a judge that sees no more than the lines, and passes what is complete, passes them.
        """
        return Share(self.failed["complete"], self.failed.total() - self.failed["unread"])

    @property
    def held_back(self) -> Share:
        """Groups that people passed and the rules would hold back."""
        return _share_held(self.passed)

    @property
    def stopped(self) -> Share:
        """False passes of the model that the rules stop."""
        return _share_held(self.false_passes)

    @property
    def cost(self) -> Share:
        """Right passes of the model that the rules hold back."""
        return _share_held(self.right_passes)

    def __add__(self, other: EvidenceTally) -> EvidenceTally:
        """Count the groups of both."""
        return EvidenceTally(
            self.failed + other.failed,
            self.passed + other.passed,
            self.false_passes + other.false_passes,
            self.right_passes + other.right_passes,
            self.like_passed + other.like_passed,
        )

    def to_json(self) -> dict[str, object]:
        """Give all counts, and the shares with their intervals."""
        counts = {
            "failed": self.failed,
            "passed": self.passed,
            "false_passes": self.false_passes,
            "right_passes": self.right_passes,
        }
        return {
            **{name: {kind: count[kind] for kind in KINDS} for name, count in counts.items()},
            "like_passed": self.like_passed,
            "lowest_false_pass": self.lowest_false_pass.to_json(),
            "passed_held_back": self.held_back.to_json(),
            "false_passes_stopped": self.stopped.to_json(),
            "right_passes_held_back": self.cost.to_json(),
        }


@dataclass(frozen=True, slots=True)
class EvidenceSurvey:
    """The groups of a run by what their lines say.

    Example:
        survey = survey_evidence(Path("out"), load_missions())
        survey.missions["BBU接地线检查"].failed["complete"]

    """

    missions: dict[str, EvidenceTally]
    """Missions with evidence rules."""
    without_rules: Counter[str]
    """Labelled groups of missions that have none."""
    has_verdicts: bool
    reasons: FailReasons

    @property
    def total(self) -> EvidenceTally:
        """All missions together."""
        return sum(self.missions.values(), EvidenceTally())

    def to_json(self) -> dict[str, object]:
        """Give all figures."""
        return {
            "all": self.total.to_json(),
            "missions": {name: tally.to_json() for name, tally in self.missions.items()},
            "without_rules": dict(self.without_rules),
            "reasons": self.reasons.to_json(),
        }


def kind_of(items: Sequence[EvidenceItem]) -> Kind:
    """Say what the lines of a group show, the most certain first.

    >>> kind_of([EvidenceItem("电线", "need", "doubtful", doubtful=("图片_1",))])
    'doubtful'
    """
    codes = evidence.codes(items)
    if EVIDENCE_AGAINST in codes:
        return "fault"
    if EVIDENCE_MISSING not in codes:
        return "complete"
    return "missing" if any(item.state == "missing" for item in items) else "doubtful"


def _share_held(counts: Counter[Kind]) -> Share:
    return Share(sum(counts[kind] for kind in HELD), counts.total() - counts["unread"])
