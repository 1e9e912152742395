"""Writing of a sheet in one of its forms, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from shenhe.files import whole_file
from shenhe.languages import Language
from shenhe.report.bound import find_promise
from shenhe.report.choice import WHOLE_RUN, SheetChoice
from shenhe.report.reading import SheetReading
from shenhe.report.sheet.document import SheetDocument, choose_shown, read_looks
from shenhe.report.sheet.docx import write_docx
from shenhe.report.sheet.head import describe_head
from shenhe.report.sheet.pdf import write_pdf
from shenhe.report.sheet.words import Speaker
from shenhe.report.sheet.workbook import SheetWorkbook
from shenhe.rows.decision_rows import Decision

SheetForm = Literal["xlsx", "docx", "pdf"]
MAX_GROUPS: Final = 500
"""How many groups a document shows with their photos, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class SheetRequest:
    """A sheet to be made: of what, in which form and language.

    `promise` is the file of the promise that decided, `decisions` the current ones: by default
    those of the run's folder. A document shows at most `max_groups` groups, a workbook all.

        write_sheet(SheetRequest(Path("out"), "xlsx"), Path("sheet.xlsx"))
    """

    run_dir: Path
    form: SheetForm
    language: Language = "zh"
    choice: SheetChoice = WHOLE_RUN
    promise: Path | None = None
    max_groups: int = MAX_GROUPS
    decisions: Iterable[Decision] | None = None


@dataclass(frozen=True, slots=True)
class SheetCounts:
    """How many groups a sheet is about, and how many of them it shows."""

    groups: int
    shown: int


def write_sheet(request: SheetRequest, path: Path) -> SheetCounts:
    """Write a sheet.

    Raises: RunError if there are no verdicts or none that is chosen, rows, decisions or a promise
    cannot be read, or the file cannot be written.

        counts = write_sheet(SheetRequest(Path("out"), "xlsx"), Path("sheet.xlsx"))
    """
    reading = SheetReading(request.run_dir, request.choice, request.decisions)
    say = Speaker(request.language)
    made = datetime.now(reading.zone)
    with whole_file(path) as partial:
        if request.form == "xlsx":
            shown = _write_workbook(request, reading, say, made, partial)
        else:
            shown = _write_document(request, reading, say, made, partial)
    return SheetCounts(reading.whole.groups, shown)


def _write_workbook(
    request: SheetRequest, reading: SheetReading, say: Speaker, made: datetime, path: Path
) -> int:
    """Write the workbook, which holds all groups; give their number."""
    book = SheetWorkbook(say, reading)
    book.write_groups()
    promise = find_promise(reading, request.promise)
    book.write_totals(describe_head(say, reading, promise, made))
    book.save(path)
    return reading.whole.groups


def _write_document(
    request: SheetRequest, reading: SheetReading, say: Speaker, made: datetime, path: Path
) -> int:
    """Write a document; give the number of groups that it shows."""
    shown = choose_shown(reading, request.max_groups)
    promise = find_promise(reading, request.promise)
    head = list(describe_head(say, reading, promise, made))
    captions, marks = read_looks(reading, shown)
    document = SheetDocument(say, reading, made, head, shown, captions, marks)
    write = write_pdf if request.form == "pdf" else write_docx
    write(document, path)
    return len(shown)
