"""Sheets whose cells are all text: nothing that a name or a remark holds is ever executed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import BinaryIO, Final

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

MAX_CELL: Final = 32_000
"""Characters that a cell of XLSX holds."""
MAX_ROWS: Final = 1_000_000
"""Rows of a sheet, beside its header; the next ones go on in another sheet."""
FORMULA_STARTS: Final = (*"=+-@＝＋－＠", "\t", "\r", "\n")
"""Characters with which a formula begins in a spreadsheet, or that it skips before one."""
NUMBER: Final = re.compile(r"-[0-9]+(?:\.[0-9]+)?")
"""A number below zero, which is no formula."""
UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XLSX does not allow."""


def safe_cell(value: object) -> str:
    """Write a value so that no spreadsheet takes it for a formula."""
    text = "" if value is None else UNPRINTABLE.sub("\ufffd", str(value))
    is_formula = text.startswith(FORMULA_STARTS) and not NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


class TextWorkbook:
    """A workbook that is written row by row, in memory that does not grow with the rows.

    `widths` has the columns. Units: characters.
    """

    def __init__(self, title: str, widths: Mapping[str, int]) -> None:
        """Begin with the header."""
        self._book, self._title, self._widths = Workbook(write_only=True), title, widths
        self.rows = 0
        self._begin_sheet(title)

    def append(self, cells: Sequence[str]) -> None:
        """Append a row of texts."""
        if self.rows and self.rows % MAX_ROWS == 0:
            self._begin_sheet(f"{self._title} {self.rows // MAX_ROWS + 1}")
        self.rows += 1
        written = [WriteOnlyCell(self._sheet, safe_cell(text)[:MAX_CELL]) for text in cells]
        for cell in written:
            cell.data_type = "s"  # text, even if it looks like a number or a formula
        self._sheet.append(written)

    def save(self, file: BinaryIO) -> None:
        """Write the workbook; nothing more is to be appended."""
        self._book.save(file)

    def _begin_sheet(self, title: str) -> None:
        self._sheet = self._book.create_sheet(title)
        self._sheet.freeze_panes = "A2"
        for number, width in enumerate(self._widths.values(), 1):
            self._sheet.column_dimensions[get_column_letter(number)].width = width
        header = [WriteOnlyCell(self._sheet, name) for name in self._widths]
        for cell in header:
            cell.font = Font(bold=True)
        self._sheet.append(header)
