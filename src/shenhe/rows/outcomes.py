"""Outcomes: what the model and what people said of each group of a run."""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self

import numpy as np

from shenhe.errors import RowError, RunError
from shenhe.row_types import VerdictRow
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.rows.keys import in_one_spelling
from shenhe.rows.readers import read_each, read_verdicts
from shenhe.rows.statements import codes_of, statement_of
from shenhe.shards import list_rows_files
from shenhe.values import (
    CONTRADICTION,
    EVIDENCE_AGAINST,
    EVIDENCE_MISSING,
    EXPECTED,
    FAIL,
    PASS,
    UNSURE,
    Label,
    Ruling,
)

Truth = Literal["labels", "decisions"]
"""What verdicts are compared with: labels of the photo tree, or decisions of people in review."""
LABELS: Final[Mapping[str, Label]] = {PASS: "pass", FAIL: "fail"}
"""The label that each choice of people stands for; 待定 stands for none."""
REPEATED: Final = "further rows of a group: it counts once, as 通过 if one of them is that"
_SAFEST: Final[tuple[Ruling | None, ...]] = (FAIL, None, PASS)
_HELD_CODES: Final = frozenset((EVIDENCE_MISSING, EVIDENCE_AGAINST, CONTRADICTION))
"""Codes of rules that hold a 通过 back by themselves, at whatever threshold."""


class Outcome(NamedTuple):
    """One group: `label` is what people said, `verdict` what the model did.

    `ruling` is what the model said, whatever held it back; None where that is not known. `log_odds`
    are those of 通过, infinite where only a `p_pass` of 1 or 0 is known, and None where nothing is.
    `why` are the codes for which the group is undecided.
    """

    key: str
    mission: str
    label: Label | None
    verdict: str | None
    p_pass: float | None
    ruling: Ruling | None = None
    log_odds: float | None = None
    why: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: VerdictRow) -> Self:
        """Take from a row what is counted."""
        statement = statement_of(row)
        return cls(
            row.key,
            row.mission,
            row.label,
            row.verdict,
            row.p_pass,
            statement.ruling,
            statement.log_odds,
            tuple(codes_of(row)),
        )

    @property
    def right(self) -> bool:
        """Whether the model decided as people did."""
        return self.label is not None and self.verdict == EXPECTED[self.label]

    @property
    def is_held(self) -> bool:
        """Whether a rule holds a 通过 back, at whatever threshold."""
        return not _HELD_CODES.isdisjoint(self.why)

    @property
    def can_pass(self) -> bool:
        """Whether the group passes at a threshold that its log-odds reach.

        Rows that say nothing but a probability, or two things at once, are not taken for 不通过.
        """
        if self.log_odds is None or self.is_held or not self._was_judged:
            return False
        return self.ruling == PASS or (self.ruling is None and self.verdict != FAIL)

    @property
    def readable(self) -> bool:
        """Whether it is known what the group does at every threshold."""
        if not self._was_judged:
            return False
        return self.ruling == FAIL or self.can_pass or (self.ruling == PASS and self.is_held)

    def passes(self, threshold: float) -> bool:
        """Whether the group passes at a threshold of log-odds."""
        return self.can_pass and self.log_odds is not None and self.log_odds >= threshold

    @property
    def _was_judged(self) -> bool:
        return all(code == UNSURE or code in _HELD_CODES for code in self.why)


def read_outcomes(
    run_dir: Path, truth: Truth = "labels", lost: dict[str, int] | None = None
) -> list[Outcome]:
    """Read the verdicts of a run; against decisions, groups without one have no label.

    Labels that people found wrong in review are put right. A group counts once, however many rows
    it has, as where a file of rows was copied beside itself: `lost` counts the further ones.
    Raises: RunError if it has none, or a row is of another form; if nobody has decided anything.

        scores = score_verdicts(read_outcomes(Path("run"), "decisions"))
    """
    outcomes = _once(map(Outcome.of, read_run_verdicts(run_dir)), {} if lost is None else lost)
    if truth == "decisions":
        labels = read_decided_labels(run_dir)
        return [outcome._replace(label=labels.get(outcome.key)) for outcome in outcomes]
    corrected = read_corrected_labels(run_dir)
    if not corrected:
        return outcomes
    return [
        outcome._replace(label=corrected[outcome.key]) if outcome.key in corrected else outcome
        for outcome in outcomes
    ]


def _once(outcomes: Iterable[Outcome], lost: dict[str, int]) -> list[Outcome]:
    """Give one outcome a group: the last 通过, which hides no false pass, else the last one."""
    by_key: dict[str, Outcome] = {}
    for outcome in outcomes:
        key = in_one_spelling(outcome.key)
        before = by_key.get(key)
        if before is not None:
            lost[REPEATED] = lost.get(REPEATED, 0) + 1
        if before is None or before.verdict != PASS or outcome.verdict == PASS:
            by_key[key] = outcome
    return list(by_key.values())


def read_run_verdicts(run_dir: Path) -> Iterator[VerdictRow]:
    """Yield the verdict rows of a run, or of a folder of them.

    Raises: RunError if there are none, or a row is of another form.
    """
    row = None
    for row in _read_all(list_rows_files(verdicts_folder(run_dir))):
        yield row
    if row is None:
        raise _no_verdicts(run_dir)


def read_safest_verdicts(run_dir: Path) -> Iterator[VerdictRow]:
    """Yield one verdict row for each group of a run: of several, the one to act upon.

    Warns of groups that have several, as where a file of rows was copied beside itself.
    Raises: RunError if there is no file of them, or a row is of another form.

        undecided = [row for row in read_safest_verdicts(Path("out")) if row.verdict is None]
    """
    folder = verdicts_folder(run_dir)
    paths = list_rows_files(folder)
    if not paths:
        raise _no_verdicts(run_dir)
    each = (row for path in paths for row in read_each(path, VerdictRow))
    spellings = (in_one_spelling(row.key) for row in each if not isinstance(row, RowError))
    hashes = array("q", map(hash, spellings))
    values, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    suspects = set(values[counts > 1].tolist())
    chosen: dict[str, tuple[Ruling | None, int]] = {}
    further = 0
    for number, row in enumerate(_read_all(paths if suspects else ())):
        if hash(key := in_one_spelling(row.key)) in suspects:
            before = chosen.get(key)
            further += before is not None
            if before is None or is_safer(row.verdict, before[0]):
                chosen[key] = (row.verdict, number)
    if further:
        warn_of_several(folder, further)
    for number, row in enumerate(_read_all(paths)):
        kept = chosen.get(in_one_spelling(row.key)) if chosen else None
        if kept is None or kept[1] == number:
            yield row


def _no_verdicts(run_dir: Path) -> RunError:
    return RunError(f"{run_dir}: no verdicts there; run `shenhe judge` or `shenhe run` first")


def _read_all(paths: Iterable[Path]) -> Iterator[VerdictRow]:
    return chain.from_iterable(map(read_verdicts, paths))


def is_safer(verdict: Ruling | None, before: Ruling | None) -> bool:
    """Whether a later verdict on a group replaces an earlier one: 通过 replaces nothing but 通过.

    >>> is_safer("不通过", None), is_safer("通过", None), is_safer("通过", "通过")
    (True, False, True)
    """
    return _SAFEST.index(verdict) <= _SAFEST.index(before)


def warn_of_several(folder: Path, further: int) -> None:
    """Warn of groups that have several verdict rows; `further` is the number of those too many."""
    warnings.warn(
        f"{folder}: {further} further rows of groups that have one already: each"
        " counts once, as 通过 only if all its rows say so; move copies of rows files elsewhere",
        stacklevel=2,
    )


def verdicts_folder(run_dir: Path) -> Path:
    """Name the folder of a run's verdict rows: its own, where `judge` wrote it."""
    folder = run_dir / "stage_b"
    return folder if folder.is_dir() else run_dir


def read_corrected_labels(run_dir: Path) -> dict[str, Label]:
    """Read the labels that people found wrong in review, as they should be; 待定 corrects nothing.

    Raises: RunError if the decisions cannot be read.
    """
    if not has_decisions(run_dir):
        return {}
    labels = (
        (decision.key, corrected_label(decision)) for decision in Decisions(run_dir).all_current()
    )
    return {key: label for key, label in labels if label}


def corrected_label(decision: Decision | None) -> Label | None:
    """Give the label as it should be, where a decision says that it is wrong."""
    opinion = decision.opinion if decision else None
    return decided_label(decision) if opinion and opinion.label_wrong else None


def decided_label(decision: Decision | None) -> Label | None:
    """Give the label that a decision stands for; None for 待定, or without one."""
    opinion = decision.opinion if decision else None
    return LABELS.get(opinion.choice) if opinion else None


def has_decisions(run_dir: Path) -> bool:
    """Whether people have looked at a run in the review app.

    Example:
        truth = "decisions" if has_decisions(Path("out")) else "labels"

    """
    return decisions_file(run_dir).exists()  # opening it reports whatever else lies there


def read_decided_labels(run_dir: Path) -> dict[str, Label]:
    """Read the decisions of people as labels; 待定 decides nothing.

    Raises: RunError if nobody has decided anything, or the decisions cannot be read.
    """
    if not has_decisions(run_dir):
        raise RunError(f"{run_dir}: nobody has decided anything; `shenhe review` is where to")
    labels = (
        (decision.key, decided_label(decision)) for decision in Decisions(run_dir).all_current()
    )
    return {key: label for key, label in labels if label}
