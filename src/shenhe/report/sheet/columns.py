"""The columns of the workbook's lists: their names, widths and what stands in their cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import Final, NamedTuple

from shenhe.report.reading import SheetGroup
from shenhe.report.sheet.words import Speaker
from shenhe.report.times import read_time
from shenhe.rows.foreign import extra_of, extra_texts

CellValue = str | int | float | datetime | None
MAX_EXTRA: Final = 20
"""Maximum number of fields of another tool that have a column of their own."""
LINE_JOINT: Final = " | "
"""Stands between the lines of photos in one cell."""


class Column(NamedTuple):
    """A column: `name` is its key among the words of sheets. Units: `width` in characters."""

    name: str
    width: int
    value: Callable[[SheetGroup], CellValue]


def make_columns(say: Speaker, zone: timezone) -> tuple[Column, ...]:
    """Make the columns of the list of groups."""
    yes = say.words["yes"]
    return (
        Column("group", 26, lambda group: group.row.group_id),
        Column("mission", 26, lambda group: group.row.mission),
        Column("final", 10, lambda group: say.verdict(group.final)),
        Column("machine", 10, lambda group: say.verdict(group.row.verdict)),
        Column("decision", 10, lambda group: say.decision(group.decision)),
        Column("label", 11, lambda group: say.label(group.label)),
        Column("false_pass", 8, lambda group: yes if group.is_false_pass else None),
        Column("overruled", 8, lambda group: yes if _overrules(group) else None),
        Column("p_pass", 10, lambda group: _rounded(group.row.p_pass)),
        Column("photos", 8, lambda group: len(group.photo_keys)),
        Column("why", 28, lambda group: say.why(group.row)),
        Column("reason", 48, lambda group: say.reason(group.row)),
        Column("evidence", 36, lambda group: LINE_JOINT.join(say.evidence(group.row))),
        Column("faults", 20, lambda group: say.faults(group.decision)),
        Column("comment", 36, _comment),
        Column("reviewer", 14, lambda group: group.decision.reviewer if group.decision else None),
        Column("decided_at", 19, lambda group: _decided_at(group, zone)),
        Column("judged_at", 19, lambda group: _time(group.row.timestamp, zone)),
        Column("lines", 80, _lines),
    )


FALSE_PASS_COLUMNS: Final = (
    *("group", "mission", "label", "decision", "machine", "p_pass", "reason", "faults", "comment"),
    *("reviewer", "decided_at", "judged_at", "photos", "lines"),
)
"""The columns of the list of false passes, by their names."""
EXTRA_WIDTH: Final = 18


def extra_columns(groups: Sequence[SheetGroup]) -> list[Column]:
    """Make a column for each field that another tool gave the rows of groups."""
    names = dict.fromkeys(
        name for group in groups for name in extra_of(group.summary, group.row) if name.strip()
    )
    return [Column(name, EXTRA_WIDTH, partial(_field, name)) for name in list(names)[:MAX_EXTRA]]


def other_fields(columns: Sequence[Column]) -> Column:
    """Make the column of the fields that have none of their own."""
    names = {column.name for column in columns}

    def join(group: SheetGroup) -> CellValue:
        texts = (f"{name}: {text}" for name, text in _extra(group).items() if name not in names)
        return "; ".join(texts)

    return Column("other_fields", 24, join)


def _field(name: str, group: SheetGroup) -> CellValue:
    return _extra(group).get(name)


def _extra(group: SheetGroup) -> dict[str, str]:
    return dict(extra_texts(extra_of(group.summary, group.row)))


def _overrules(group: SheetGroup) -> bool:
    return group.decision is not None and group.decision.overrules


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)


def _comment(group: SheetGroup) -> str:
    opinion = group.decision.opinion if group.decision else None
    return opinion.comment if opinion else ""


def _decided_at(group: SheetGroup, zone: timezone) -> CellValue:
    return _time(group.decision.at, zone) if group.decision else None


def _time(text: str, zone: timezone) -> CellValue:
    """Give a time as spreadsheets hold it, without a zone; a text that is none stays as it is."""
    time = read_time(text, zone)
    return text if time is None else time.replace(tzinfo=None)


def _lines(group: SheetGroup) -> str:
    lines = group.summary.per_image if group.summary else {}
    return LINE_JOINT.join(f"{key}: {line}" for key, line in lines.items())
