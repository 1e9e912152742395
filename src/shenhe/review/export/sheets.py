"""Decisions beside the model's verdicts, as CSV, XLSX and JSONL."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence

from shenhe.review.corrections import count_corrected, list_model_objects
from shenhe.review.export.contents import DecidedGroups, ExportFile
from shenhe.review.index import GroupRows
from shenhe.row_types import Row
from shenhe.rows.decision_rows import Decision, Opinion
from shenhe.rows.sheets import TextWorkbook, safe_cell

_COLUMN_WIDTHS = {
    "group_id": 24,
    "mission": 26,
    "label": 8,
    "model": 10,
    "p_pass": 10,
    "model_reason": 48,
    "decision": 10,
    "overruled": 10,
    "fault": 18,
    "comment": 48,
    "reviewer": 14,
    "at": 28,
    "version": 8,
    "label_wrong": 12,
    "corrected_photos": 18,
    "corrected_objects": 10,
    "audit": 8,
    "extra": 40,
}
"""Columns of a sheet. Units: characters."""


def write_csv(groups: DecidedGroups) -> ExportFile:
    """Write the decisions as a CSV."""
    return make_csv(_COLUMN_WIDTHS, (_cells(decision, group) for decision, group in groups))


def make_csv(header: Iterable[str], rows: Iterable[Sequence[str]]) -> ExportFile:
    """Make a CSV with a byte order mark, which Excel reads as UTF-8 in every language."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    written = list(rows)
    writer.writerows(written)
    return ExportFile(b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace"), len(written))


def write_xlsx(groups: DecidedGroups) -> ExportFile:
    """Write a workbook of one sheet whose cells are all text."""
    book = TextWorkbook("decisions", _COLUMN_WIDTHS)
    for decision, group in groups:
        book.append(_cells(decision, group))
    content = io.BytesIO()
    book.save(content)
    return ExportFile(content.getvalue(), book.rows)


def write_jsonl(groups: DecidedGroups) -> ExportFile:
    """Write the rows of the decisions."""
    lines = [with_extra(decision, group) + "\n" for decision, group in groups]
    return ExportFile("".join(lines).encode(), len(lines))


def with_extra(row: Row, group: GroupRows | None) -> str:
    """Write a row about a group, with what another tool gave the group where there is any."""
    if group is None or not group.extra:
        return row.to_json()
    content = json.loads(row.to_json()) | {"extra": group.extra}
    return json.dumps(content, ensure_ascii=False)


def _cells(decision: Decision, group: GroupRows | None) -> list[str]:
    opinion = decision.opinion
    if opinion is None:
        raise AssertionError("taken back")
    row = group.verdict if group else None
    p_pass = "" if row is None or row.p_pass is None else f"{row.p_pass:.6f}"
    values = (
        *(decision.group_id, decision.mission, decision.label, decision.verdict),
        *(p_pass, row.reason if row else ""),
        *(opinion.choice, "yes" if decision.overrules else "no", opinion.fault),
        *(opinion.comment, decision.reviewer, decision.at, decision.version),
        *("yes" if opinion.label_wrong else "no", *_corrections(opinion, group), decision.audit),
        "; ".join(f"{key}: {text}" for key, text in group.extra_texts) if group else "",
    )
    return list(map(safe_cell, values))


def _corrections(opinion: Opinion, group: GroupRows | None) -> tuple[str, int | None]:
    """Name the photos whose caption was corrected, and count the objects that differ."""
    objects = count_corrected(opinion, list_model_objects(group) if group else {})
    return "; ".join(opinion.corrected_captions), objects
