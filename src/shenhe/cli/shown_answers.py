"""Answers of a run on the terminal, as `swift infer --stream true` shows those of a dataset."""

from __future__ import annotations

from shenhe.intake.datasets import DatasetRow
from shenhe.intake.dialogues import Dialogue
from shenhe.printable import show_data
from shenhe.runs.observers import RunInfo
from shenhe.runs.work import FinishedJob


class ShownAnswers:
    """Prints question, label and answer of each row that has one."""

    def began(self, info: RunInfo) -> None:
        """Print nothing."""

    def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
        """Print a row."""
        row = job.item
        if not isinstance(row, DatasetRow) or not isinstance(row.content, Dialogue):
            return
        if row.content.turns:
            show_data(f"[QUERY] {row.content.turns[-1].text}")
        if row.content.label is not None:
            show_data(f"[LABELS] {row.content.label}")
        for success in job.successes:
            show_data(f"[RESPONSE] {success.value}")
        show_data("-" * 50)

    def ended(self, info: RunInfo) -> None:
        """Print nothing."""
