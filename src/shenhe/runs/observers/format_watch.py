"""Tells at the end of a run that its answers have another format than the one they were read in."""

from __future__ import annotations

from typing import Final

from shenhe.config import formats_by_hash
from shenhe.errors import spelled
from shenhe.formats.recognition import recognize
from shenhe.runs.observers import RunInfo
from shenhe.runs.work import AnswerFormats, FinishedJob

MAX_ANSWERS: Final = 20
"""Answers that are kept: the first of a run."""
MIN_ANSWERS: Final = 3


class FormatWatch:
    """Keeps the first answers of a run, and names the format that fits them if another is used."""

    def __init__(self, answers: AnswerFormats) -> None:
        self._kind, self._formats = answers.kind, answers.formats
        self._texts: list[str] = []

    def began(self, info: RunInfo) -> None:
        """Nothing is there yet."""

    def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
        """Keep the answers of an item."""
        if len(self._texts) < MAX_ANSWERS:
            self._texts += [answer.text for answer in job.answers]

    def ended(self, info: RunInfo) -> None:
        """Name the format, once."""
        candidates = (self._formats, *formats_by_hash().values())
        fit = recognize(self._kind, self._texts[:MAX_ANSWERS], candidates)
        if fit is None or fit.formats == self._formats or fit.fitting < MIN_ANSWERS:
            return
        option = spelled("formats", fit.formats.name)
        info.counts.hints.append(f"{fit.describe('answers')}: {option}")
