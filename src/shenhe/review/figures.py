"""Figures of a team: what people did on each day, and how far two of them agree."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import timezone
from pathlib import Path
from typing import NamedTuple

from pydantic_core import to_json

from shenhe.database import Database
from shenhe.files import whole_file
from shenhe.review.export.contents import ExportFile
from shenhe.review.export.sheets import make_csv
from shenhe.review.index import Index, SecondQueue
from shenhe.review.team_trail import TRAIL_COLUMNS, trail_cells, whole_trail
from shenhe.rows.sheets import TextWorkbook, safe_cell
from shenhe.team import SecondOpinions
from shenhe.team.agreement import Agreement, Pair, agree, agree_by_mission, agree_by_people
from shenhe.team.events import Events
from shenhe.team.work import Act, DayOfWork, name_zone, work_by_day

WORK_COLUMNS = {
    "day": 12,
    "zone": 12,
    "reviewer": 16,
    "decisions": 12,
    "overruled": 12,
    "audits": 10,
    "second_opinions": 16,
    "taken_back": 12,
    "median_seconds": 16,
}
"""Columns of the sheet of work. Units: characters."""
AGREEMENT_COLUMNS = {
    "of": 12,
    "name": 40,
    "pairs": 10,
    "agreed": 10,
    "agreed_low": 12,
    "agreed_high": 12,
    "kappa": 10,
    "kappa_low": 10,
    "kappa_high": 10,
    "with_deferred": 14,
}
"""Columns of the sheet of agreement. Units: characters."""


class AgreementLine(NamedTuple):
    """The agreement of all pairs, of a mission, or of two people."""

    of: str
    name: str
    agreement: Agreement


def list_work(
    index: Index, opinions: SecondOpinions, zone: timezone, reviewer: str = ""
) -> list[DayOfWork]:
    """List what people did, or one of them, by the days of a zone.

    Raises: RunError if decisions or second opinions cannot be read.
    """
    rows = opinions.trail(None, 2**31 - 1)
    undone = {row.undoes for row in rows}
    seconds = (
        Act(row.reviewer, row.at, "second", undone=row.number in undone)
        for row in rows
        if row.undoes is None
    )
    acts = [act for act in (*index.acts(), *seconds) if reviewer in ("", act.reviewer)]
    return work_by_day(acts, zone)


def list_pairs(queue: SecondQueue) -> list[Pair]:
    """List the pairs of opinions that count for agreement.

    Both were given on the same photos, and neither was taken back.
    """
    return [
        Pair(
            pair.first.mission,
            pair.first.reviewer,
            pair.second.reviewer,
            pair.first.opinion.choice,
            pair.second.opinion.choice,
        )
        for pair in queue.pairs()
        if pair.first.opinion
        and pair.second.opinion
        and not pair.is_undone
        and pair.first.inputs == pair.second.inputs
    ]


def list_agreement(pairs: Sequence[Pair]) -> list[AgreementLine]:
    """List the agreement of all pairs, then of each mission, then of each two people."""
    people = agree_by_people(pairs).items()
    return [
        AgreementLine("all", "", agree(pairs)),
        *(AgreementLine("mission", name, each) for name, each in agree_by_mission(pairs).items()),
        *(AgreementLine("people", " / ".join(names), each) for names, each in people),
    ]


def work_cells(lines: Iterable[DayOfWork], zone: timezone) -> list[list[str]]:
    """Write the cells of the sheet of work."""
    name = name_zone(zone)
    return [
        [line.day, name, safe_cell(line.reviewer), *map(str, line[2:7]), _number(line.pace, 0)]
        for line in lines
    ]


def agreement_cells(lines: Iterable[AgreementLine]) -> list[list[str]]:
    """Write the cells of the sheet of agreement; what cannot be told is empty."""
    rows = []
    for line in lines:
        share, kappa = line.agreement.share, line.agreement.kappa
        low, high = kappa.interval or (None, None)
        shares = share.interval() if share.total else (None, None)
        figures = [*shares, kappa.value, low, high]
        counts = [str(share.total), str(share.count)]
        numbers = [_number(figure, 4) for figure in figures]
        rows.append(
            [line.of, safe_cell(line.name), *counts, *numbers, str(line.agreement.deferred)]
        )
    return rows


def make_sheet(
    columns: dict[str, int], rows: Sequence[Sequence[str]], *, is_workbook: bool
) -> ExportFile:
    """Make a CSV, or a workbook of one sheet."""
    if not is_workbook:
        return make_csv(columns, rows)
    book, content = TextWorkbook("team", columns), io.BytesIO()
    for row in rows:
        book.append(row)
    book.save(content)
    return ExportFile(content.getvalue(), book.rows)


def write_figures(
    folder: Path, index: Index, database: Database, zone: timezone
) -> dict[Path, int]:
    """Write work, agreement and the trail of a run to a folder; give the rows of each file.

    Raises: RunError if they cannot be written, or decisions cannot be read.
    """
    opinions = SecondOpinions(database)
    if (plan := opinions.plan()) and index.second is None:
        index.review_twice(plan, opinions)
    pairs = list_pairs(index.second) if index.second else []
    trail = whole_trail(index, opinions, Events(database))
    work = work_cells(list_work(index, opinions, zone), zone)
    sheets = {
        "work": (WORK_COLUMNS, work),
        "agreement": (AGREEMENT_COLUMNS, agreement_cells(list_agreement(pairs))),
        "trail": (TRAIL_COLUMNS, trail_cells(trail)),
    }
    files = {
        f"{name}.{kind}": make_sheet(columns, rows, is_workbook=kind == "xlsx")
        for name, (columns, rows) in sheets.items()
        for kind in ("csv", "xlsx")
    }
    lines = b"".join(to_json(row) + b"\n" for row in trail)
    files["trail.jsonl"] = ExportFile(lines, len(trail))
    for name, file in files.items():
        with whole_file(folder / name) as partial_path:
            partial_path.write_bytes(file.content)
    return {folder / name: file.rows for name, file in files.items()}


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
