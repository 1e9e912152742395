"""Evidence of a group as a table: an item a line, a photo a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from shenhe.row_types import VerdictRow
from shenhe.rows.words import Words
from shenhe.values import EvidenceItem


class Cell(NamedTuple):
    """How a photo shows an item: a class of the page, a sign and a word, so never colour alone."""

    name: str
    sign: str
    words: Words


CELLS: Final = {
    "right": Cell("right", "✓", Words("符合", "right")),
    "wrong": Cell("wrong", "✗", Words("不符合", "wrong")),
    "doubtful": Cell("doubtful", "?", Words("有疑问", "in doubt")),
    "": Cell("", "–", Words("未提及", "not mentioned")),
}
STATES: Final = {
    "seen": Words("已看到", "seen"),
    "missing": Words("缺少", "missing"),
    "doubtful": Words("有疑问", "in doubt"),
    "stated": Words("有缺陷", "fault stated"),
    "settled": Words("已由其他照片说明", "settled by another photo"),
}
_CLASSES: Final = {
    "seen": "right",
    "missing": "wrong",
    "doubtful": "doubtful",
    "stated": "wrong",
    "settled": "right",
}


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """A need or a fault: its state in words, and how each photo shows it."""

    item: EvidenceItem
    words: Words
    name: str
    """The class of its state on the page."""
    cells: list[Cell]

    @property
    def lit(self) -> list[int]:
        """Numbers of the columns, from 1 on, whose photos show the item in any way."""
        return [number for number, cell in enumerate(self.cells, 1) if cell.name]


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """The evidence of a group; the columns are photos, those of the page first."""

    photos: list[str]
    lines: list[EvidenceLine]


def tabulate_evidence(row: VerdictRow, shown: Sequence[str]) -> EvidenceTable | None:
    """Lay out the evidence of a verdict over the photos that the page shows; None without any.

    A photo that only the evidence names has a column of its own behind them.
    """
    items = row.meta.evidence.items if row.meta.evidence else []
    if not items:
        return None
    named = (key for item in items for key in (*item.right, *item.wrong, *item.doubtful))
    photos = list(dict.fromkeys((*shown, *named)))
    return EvidenceTable(
        photos,
        [
            EvidenceLine(
                item,
                STATES[item.state],
                _CLASSES[item.state],
                [CELLS[item.seen_on(photo)] for photo in photos],
            )
            for item in items
        ],
    )
