"""The workbook of a sheet: all groups, totals that can be recomputed, and the false passes.

Rows are written as they are read, so that memory does not grow with them. Readers that calculate
nothing find every figure as a value beside its formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ERROR_CODES
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.properties import PageSetupProperties

from shenhe.report.reading import MissionTotals, SheetGroup, SheetReading
from shenhe.report.sheet.columns import (
    FALSE_PASS_COLUMNS,
    CellValue,
    Column,
    extra_columns,
    make_columns,
    other_fields,
)
from shenhe.report.sheet.figures import GroupRanges, criterion_of, list_figures
from shenhe.report.sheet.head import HeadLine
from shenhe.report.sheet.words import Speaker
from shenhe.rows.sheets import MAX_CELL, MAX_ROWS, safe_cell

PEEKED: Final = 500
"""How many groups say which fields of another tool have a column of their own."""
TIME_FORMAT: Final = "yyyy-mm-dd hh:mm:ss"
SHARE_FORMAT: Final = "0.00%"
A4: Final = 9
"""The number of the paper in workbooks."""
MANY: Final = 10
"""Columns from which on a list is printed on two pages side by side."""
TIMES: Final = ("decided_at", "judged_at")
"""Columns of times, which tell their zone: cells of a workbook have none."""
_HEAD = {"font": Font(bold=True), "fill": PatternFill("solid", fgColor="DCE6F1")}


class SheetWorkbook:
    """Writes a workbook.

    Example:
        SheetWorkbook(Speaker("zh"), reading).write(path, describe_head)

    """

    def __init__(self, say: Speaker, reading: SheetReading) -> None:
        self._say, self._reading, self._words = say, reading, say.words
        self._book = Workbook(write_only=True)
        # Sheets stand in this order; the first ones are written when all groups are counted.
        self._cover = self._book.create_sheet(self._words["sheet_cover"])
        self._totals = self._book.create_sheet(self._words["sheet_totals"])
        self._lists: list[tuple[str, int]] = []
        self._columns: list[Column] = []

    def write_groups(self) -> None:
        """Write the list of groups and that of false passes.

        Raises: RunError if rows cannot be read, or no group is chosen.
        """
        groups = self._reading.groups()
        first = list(islice(groups, PEEKED))
        own = make_columns(self._say, self._reading.zone)
        extra = extra_columns(first)
        self._columns = [*own, *extra, other_fields(extra)]
        by_name = {column.name: column for column in own}
        false_columns = [by_name[name] for name in FALSE_PASS_COLUMNS]
        sheet = self._begin_list(self._words["sheet_groups"])
        false_passes = self._book.create_sheet(self._words["sheet_false_passes"])
        self._begin(false_passes, false_columns)
        number, false_number = 0, 0
        for number, group in enumerate(chain(first, groups), 1):
            if number > 1 and number % MAX_ROWS == 1:
                self._end(sheet, len(self._columns), MAX_ROWS)
                sheet = self._begin_list(f"{self._words['sheet_groups']} {len(self._lists) + 1}")
            sheet.append(self._cells(self._columns, group, sheet))
            self._lists[-1] = (sheet.title, self._lists[-1][1] + 1)
            if group.is_false_pass and false_number < MAX_ROWS:
                false_number += 1
                false_passes.append(self._cells(false_columns, group, false_passes))
        self._end(sheet, len(self._columns), self._lists[-1][1])
        self._end(false_passes, len(false_columns), false_number)

    def write_totals(self, head: Iterable[HeadLine]) -> None:
        """Write the cover and the totals, once the groups are written."""
        self._write_cover(head)
        sheet = self._totals
        widths, names = (30, 48, 16, 16), ("mission", "figure", "value", "formula")
        self._begin(sheet, [Column(n, w, _nothing) for n, w in zip(names, widths, strict=True)])
        ranges = GroupRanges(
            self._lists, {column.name: n for n, column in enumerate(self._columns, 1)}
        )
        row = 2
        parts = list(self._reading.totals.values())
        for totals in [self._reading.whole, *(parts if len(parts) > 1 else [])]:
            row = self._write_mission(totals, ranges, row)
        self._end(sheet, len(names), row - 2)

    def save(self, path: Path) -> None:
        """Write the file.

        Raises: OSError.
        """
        self._book.save(path)

    def _write_cover(self, head: Iterable[HeadLine]) -> None:
        sheet = self._cover
        _set_paper(sheet, 1)
        sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 24, 110
        title = WriteOnlyCell(sheet, self._words["title"])
        title.font = Font(bold=True, size=16)
        sheet.append([title])
        for line in head:
            name, text = (WriteOnlyCell(sheet, _text(part)) for part in line)
            name.font, text.alignment = Font(bold=True), Alignment(wrap_text=True, vertical="top")
            name.alignment = Alignment(vertical="top")
            sheet.append([name, text])

    def _write_mission(self, totals: MissionTotals, ranges: GroupRanges, row: int) -> int:
        """Write the figures of a mission, or of all; give the row behind them."""
        name = _text(totals.mission) or self._words["all_missions"]
        criterion = criterion_of(f"$A${row}", str(name)) if totals.mission else ""
        for figure in list_figures(totals, ranges, criterion, row, self._say):
            value, formula = (
                WriteOnlyCell(self._totals, content)
                for content in (figure.value, f"={figure.formula}")
            )
            if figure.is_share:
                value.number_format = formula.number_format = SHARE_FORMAT
            label = self._words[f"figure_{figure.name}"]
            self._totals.append([name, label, value, formula])
            row += 1
        return row

    def _begin_list(self, title: str):  # type: ignore[no-untyped-def]
        sheet = self._book.create_sheet(title)
        self._lists.append((title, 0))
        self._begin(sheet, self._columns)
        return sheet

    def _begin(self, sheet, columns: Sequence[Column]) -> None:  # type: ignore[no-untyped-def]
        sheet.freeze_panes = "B2"
        sheet.print_title_rows = "1:1"
        _set_paper(sheet, 1 if len(columns) < MANY else 2)
        names = []
        for number, column in enumerate(columns, 1):
            sheet.column_dimensions[get_column_letter(number)].width = column.width
            cell = WriteOnlyCell(sheet, _text(self._name(column.name)))
            cell.font, cell.fill = _HEAD["font"], _HEAD["fill"]
            names.append(cell)
        sheet.append(names)

    def _name(self, name: str) -> str:
        text = self._words.get(f"column_{name}", name)
        return f"{text} ({self._reading.zone})" if name in TIMES else text

    def _end(self, sheet, columns: int, rows: int) -> None:  # type: ignore[no-untyped-def]
        sheet.auto_filter.ref = f"A1:{get_column_letter(columns)}{rows + 1}"

    def _cells(self, columns: Sequence[Column], group: SheetGroup, sheet) -> list[object]:  # type: ignore[no-untyped-def]
        return [self._cell(column.value(group), sheet) for column in columns]

    def _cell(self, value: CellValue, sheet) -> object:  # type: ignore[no-untyped-def]
        if isinstance(value, datetime):
            cell = WriteOnlyCell(sheet, value)
            cell.number_format = TIME_FORMAT
            return cell
        return _text(value) if isinstance(value, str) else value


def _set_paper(sheet, pages: int) -> None:  # type: ignore[no-untyped-def]
    """Print on A4 across, all columns on so many pages side by side."""
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", A4
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = pages, 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)


def _text(text: str) -> str | None:
    """Write a text so that no spreadsheet takes it for a formula, an error or a part of more."""
    if not text:
        return None
    safe = safe_cell(text)
    safe = f"'{safe}" if safe in ERROR_CODES else safe
    return safe if len(safe) <= MAX_CELL else f"{safe[: MAX_CELL - 1]}…"


def _nothing(group: SheetGroup) -> CellValue:
    return None
