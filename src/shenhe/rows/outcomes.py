"""Outcomes: what the model and what people said of each group of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Self

from shenhe.errors import RunError
from shenhe.row_types import VerdictRow
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.rows.readers import read_verdicts
from shenhe.shards import list_rows_files
from shenhe.values import EXPECTED, FAIL, PASS, Label

Truth = Literal["labels", "decisions"]
"""What verdicts are compared with: labels of the photo tree, or decisions of people in review."""


class Outcome(NamedTuple):
    """One group: `label` is what people said, `verdict` what the model did."""

    key: str
    mission: str
    label: Label | None
    verdict: str | None
    p_pass: float | None

    @classmethod
    def of(cls, row: VerdictRow) -> Self:
        """Take from a row what is counted."""
        return cls(row.key, row.mission, row.label, row.verdict, row.p_pass)

    @property
    def right(self) -> bool:
        """Whether the model decided as people did."""
        return self.label is not None and self.verdict == EXPECTED[self.label]


def read_outcomes(run_dir: Path, truth: Truth = "labels") -> list[Outcome]:
    """Read the verdicts of a run; against decisions, groups without one have no label.

    Raises: RunError if it has none, or a row is of another form; if nobody has decided anything.

        scores = score_verdicts(read_outcomes(Path("run"), "decisions"))
    """
    outcomes = list(_read_verdicts(run_dir))
    if truth == "decisions":
        labels = _read_decisions(run_dir)
        outcomes = [outcome._replace(label=labels.get(outcome.key)) for outcome in outcomes]
    if not outcomes:
        raise RunError(f"{run_dir}: no verdicts there; run `shenhe judge` or `shenhe run` first")
    return outcomes


def has_decisions(run_dir: Path) -> bool:
    """Whether people have looked at a run in the review app.

    Example:
        truth = "decisions" if has_decisions(Path("out")) else "labels"

    """
    return decisions_file(run_dir).exists()  # opening it reports whatever else lies there


def _read_decisions(run_dir: Path) -> dict[str, Label]:
    """Give the decisions of people as labels; 待定 decides nothing."""
    if not has_decisions(run_dir):
        raise RunError(f"{run_dir}: nobody has decided anything; `shenhe review` is where to")
    labels: dict[str, Label] = {PASS: "pass", FAIL: "fail"}
    return {
        decision.key: labels[decision.opinion.choice]
        for decision in Decisions(run_dir).all_current()
        if decision.opinion and decision.opinion.choice in labels
    }


def _read_verdicts(run_dir: Path) -> Iterator[Outcome]:
    folder = run_dir / "stage_b" if (run_dir / "stage_b").is_dir() else run_dir
    for path in list_rows_files(folder):
        yield from map(Outcome.of, read_verdicts(path))
