"""The groups of a mission that a promise rests on, and what they allow."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self

from shenhe.row_types import EVIDENCE_OFF, SummaryRow, VerdictRow
from shenhe.rows.outcomes import Outcome
from shenhe.stages import evidence
from shenhe.values import FAIL, PASS, UNSURE

View = Literal["pass", "fail", "deferred", "unseen"]
"""What people say of a group: nothing yet, where all groups should be looked at."""


class Origin(NamedTuple):
    """What a row says that it was made by."""

    checkpoint: str
    prompt: str
    evidence: str | None
    """The hash of the evidence rules; None where the row knows of none."""

    @classmethod
    def of(cls, row: VerdictRow) -> Self:
        """Take it from a row."""
        checked = row.meta.evidence
        return cls(row.meta.checkpoint, row.meta.prompt_hash, checked.rules if checked else None)

    def __str__(self) -> str:
        rules = "unknown" if self.evidence is None else self.evidence or "none"
        return (
            f"checkpoint {self.checkpoint or 'unknown'}, prompt {self.prompt or 'unknown'},"
            f" evidence {rules}"
        )


class LinesOrigin(NamedTuple):
    """What a Stage-A row says that its lines were made by."""

    checkpoint: str
    prompt: str

    def __str__(self) -> str:
        return f"checkpoint {self.checkpoint or 'unknown'}, prompt {self.prompt or 'unknown'}"


@dataclass(slots=True)
class Sample:
    """The groups of one mission, or of several that are pooled.

    `failed` are the groups that people failed and of which it is known what they do at every
    threshold. `unreadable` counts the others that people failed, and `scoreless` the 通过 whose
    log-odds are not known: they never pass. `scores` are the log-odds of all groups that can pass.
    """

    name: str
    failed: dict[str, Outcome] = field(default_factory=dict)
    unreadable: int = 0
    scoreless: int = 0
    groups: int = 0
    failed_by_machine: int = 0
    in_training: int = 0
    deferred: int = 0
    corrected: int = 0
    """Groups of which people found in review that they were failed by mistake."""
    scores: array[float] = field(default_factory=lambda: array("d"))
    origins: Counter[Origin] = field(default_factory=Counter)
    lines_origins: Counter[LinesOrigin] = field(default_factory=Counter)
    unseen: int = 0
    """Groups that can pass and of which nobody has said anything, though all should be."""
    surest_unseen: float = -math.inf
    cut: int = 0
    """Groups that a threshold of the run cut, or may have cut."""
    held_to_rules: int = 0
    """Failed groups whose lines were held against evidence rules."""
    complete: int = 0
    """Those of them whose lines show nothing wrong."""
    cut_blindly: int = 0
    """Those of the cut ones whose log-odds are not known."""
    lowest_passed: float = math.inf

    def add(self, row: VerdictRow, outcome: Outcome, view: View | None) -> None:
        """Count a group, with what people say of it."""
        self.groups += 1
        self.origins[Origin.of(row)] += 1
        self.failed_by_machine += outcome.verdict == FAIL
        # Where nothing is said of the cause, a threshold may be it.
        is_cut = outcome.verdict is None and outcome.ruling != FAIL and set(outcome.why) <= {UNSURE}
        self.cut += is_cut
        if outcome.can_pass and outcome.log_odds is not None:
            self._add_score(outcome, outcome.log_odds, view)
        elif outcome.log_odds is None:
            self.scoreless += PASS in (outcome.ruling, outcome.verdict)
            self.cut_blindly += is_cut
        self.deferred += view == "deferred"
        # A group that nobody could tell of is taken for bad where it can pass.
        if view == "fail" or (view == "deferred" and outcome.can_pass):
            self._add_failed(row, outcome)

    def _add_score(self, outcome: Outcome, log_odds: float, view: View | None) -> None:
        self.scores.append(log_odds)
        if outcome.verdict == PASS:
            self.lowest_passed = min(self.lowest_passed, log_odds)
        if view == "unseen":
            self.unseen += 1
            self.surest_unseen = max(self.surest_unseen, log_odds)

    def _add_failed(self, row: VerdictRow, outcome: Outcome) -> None:
        if not outcome.readable:
            self.unreadable += 1
            return
        checked = row.meta.evidence
        if checked and checked.rules not in ("", EVIDENCE_OFF):
            self.complete += not evidence.codes(checked.items)
            self.held_to_rules += 1
        twin = self.failed.get(outcome.key)
        if twin is None or _surety(twin) < _surety(outcome):
            self.failed[outcome.key] = outcome

    def add_lines(self, row: SummaryRow) -> None:
        """Take note of what made the lines of a group."""
        self.lines_origins[LinesOrigin(row.meta.checkpoint, row.meta.prompt_hash)] += 1

    @property
    def is_mixed(self) -> bool:
        """Whether the verdicts, or the lines that they rest on, are not of one and the same."""
        return len(self.origins) > 1 or len(self.lines_origins) > 1

    @property
    def floor(self) -> float:
        """The lowest threshold at which it is known of every group that passes whether it is bad.

        Below it, groups pass that nobody looked at, or that a threshold of the run cut. Infinite
        where no log-odds are known.
        """
        if not self.scores and (self.scoreless or self.cut):
            return math.inf
        floor = min(0.0, min(filter(math.isfinite, self.scores), default=0.0))
        if self.unseen:
            floor = max(floor, math.nextafter(self.surest_unseen, math.inf))
        if self.cut:
            floor = max(floor, self.lowest_passed)
        return floor


def pool(samples: Iterable[Sample], name: str = "") -> Sample:
    """Put samples of several missions together."""
    pooled, lowest = Sample(name), [-math.inf]
    for sample in samples:
        pooled.failed |= sample.failed
        pooled.scores.extend(sample.scores)
        pooled.unreadable += sample.unreadable
        pooled.scoreless += sample.scoreless
        pooled.groups += sample.groups
        pooled.failed_by_machine += sample.failed_by_machine
        pooled.in_training += sample.in_training
        pooled.deferred += sample.deferred
        pooled.unseen += sample.unseen
        pooled.surest_unseen = max(pooled.surest_unseen, sample.surest_unseen)
        pooled.cut += sample.cut
        pooled.cut_blindly += sample.cut_blindly
        pooled.corrected += sample.corrected
        if sample.cut:  # what passes in a mission that nothing cut tells of no threshold
            lowest.append(sample.lowest_passed)
    pooled.lowest_passed = max(lowest)
    return pooled


def _surety(outcome: Outcome) -> float:
    """Rank two rows of one group: the one that passes at the higher threshold counts."""
    return outcome.log_odds if outcome.can_pass and outcome.log_odds is not None else -math.inf
