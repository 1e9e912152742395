"""What exports are made from, and what they consist of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from shenhe.config import Missions, Prompts, Vocabulary, load_vocabulary
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.review.index import GroupRows
from shenhe.rows.decision_rows import Decision

DecidedGroups = Iterator[tuple[Decision, GroupRows | None]]
"""Decisions and the rows of their groups; None where the run no longer has the group."""


class Prompting(NamedTuple):
    """Missions, prompts and formats of the run: rows to train from use the same words.

    `vocabulary` is what descs are checked against, the built-in one where it is None.

    Example:
        prompting = Prompting(load_missions(), load_prompts())

    """

    missions: Missions
    prompts: Prompts
    formats: TextFormats = PLAIN
    vocabulary: Vocabulary | None = None

    @property
    def words_of_descs(self) -> Vocabulary:
        """The vocabulary that descs are checked against."""
        return self.vocabulary or load_vocabulary()

    @property
    def fault_words(self) -> tuple[str, ...]:
        """Words that state a fault: those of the vocabulary, and the built-in ones."""
        return tuple(dict.fromkeys((*self.words_of_descs.faults, *load_vocabulary().faults)))


@dataclass(frozen=True, slots=True)
class ExportFile:
    """Content of a file, the number of its rows, and how many were left out for which reason.

    Example:
        Path("decisions.csv").write_bytes(make_export("decisions.csv", index, prompting).content)

    """

    content: bytes
    rows: int
    left_out: Counter[str] = field(default_factory=Counter)
