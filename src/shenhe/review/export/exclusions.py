"""Groups whose label people called wrong: a list by which other tools leave them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from shenhe.review.export.contents import DecidedGroups, ExportFile
from shenhe.review.export.sheets import make_csv, with_extra
from shenhe.row_types import Row
from shenhe.rows.sheets import safe_cell
from shenhe.values import Label


class ExcludedGroup(Row):
    """A group whose label is wrong; `key` is its id and label as other tools write them."""

    key: str
    group_id: str
    mission: str
    label: Label | None
    reason: str
    reviewer: str
    at: str


def write_keys(groups: DecidedGroups) -> ExportFile:
    """Write a line `id::label` for each group; several missions may share one."""
    keys = list(dict.fromkeys(group.key for group in _list_excluded(groups)))
    lines = [key for key in keys if len(key.splitlines()) == 1]
    left_out = Counter({"the id holds a line break": len(keys) - len(lines)})
    return _join(lines, +left_out)


def write_rows(groups: DecidedGroups) -> ExportFile:
    """Write a row for each group, with what another tool gave it where there is any."""
    lines = [
        with_extra(row, group)
        for decision, group in groups
        for row in _list_excluded(iter([(decision, group)]))
    ]
    return _join(lines, Counter())


def write_sheet(groups: DecidedGroups) -> ExportFile:
    """Write a CSV with a row for each group."""
    rows = (list(map(safe_cell, row.model_dump().values())) for row in _list_excluded(groups))
    return make_csv(ExcludedGroup.model_fields, rows)


def _join(lines: Sequence[str], left_out: Counter[str]) -> ExportFile:
    content = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
    return ExportFile(content, len(lines), left_out)


def _list_excluded(groups: DecidedGroups) -> Iterator[ExcludedGroup]:
    for decision, _ in groups:
        opinion = decision.opinion
        if opinion is None or not opinion.label_wrong:
            continue
        yield ExcludedGroup(
            key=f"{decision.group_id}::{decision.label or ''}",
            group_id=decision.group_id,
            mission=decision.mission,
            label=decision.label,
            reason=opinion.comment or opinion.fault,
            reviewer=decision.reviewer,
            at=decision.at,
        )
