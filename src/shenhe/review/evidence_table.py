"""The table of a group's evidence: an item of the mission's rules a row, a photo a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shenhe.row_types import EVIDENCE_OFF, Evidence
from shenhe.values import EvidenceState, photo_key


class EvidenceRow(NamedTuple):
    """An item: how each photo shows it, and the photos that do, by their numbers from 1 on."""

    item: str
    kind: Literal["need", "fault"]
    place: str
    state: EvidenceState
    cells: Sequence[Literal["right", "wrong", "doubtful", ""]]
    photos: Sequence[int]


@dataclass(frozen=True, slots=True)
class EvidenceTable:
    """The rows of the table, or the name of the sentence that says why there are none."""

    rows: Sequence[EvidenceRow] = ()
    absent: str = ""


def lay_out_evidence(evidence: Evidence | None, photos: int) -> EvidenceTable:
    """Lay out the evidence of a group of so many photos.

    >>> lay_out_evidence(None, 2).absent
    'evidence_unknown'
    """
    if evidence is None:
        return EvidenceTable(absent="evidence_unknown")
    if evidence.rules == EVIDENCE_OFF:
        return EvidenceTable(absent="evidence_off")
    if not evidence.rules:
        return EvidenceTable(absent="evidence_no_rules")
    rows = []
    for item in evidence.items:
        cells = [item.seen_on(photo_key(index)) for index in range(photos)]
        shown = [number for number, cell in enumerate(cells, 1) if cell]
        rows.append(EvidenceRow(item.item, item.kind, item.place, item.state, cells, shown))
    return EvidenceTable(rows, "" if rows else "evidence_nothing")
