"""A sheet as DOCX: A4, to be filled in and signed; fonts are those of whoever opens it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from docx import Document
from docx.document import Document as DocxDocument
from docx.enum.table import WD_TABLE_ALIGNMENT
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_TAB_ALIGNMENT
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor
from docx.table import Table, _Cell
from docx.text.paragraph import Paragraph

from shenhe.printable import printable
from shenhe.report.photos import ShownPhoto
from shenhe.report.reading import SheetGroup
from shenhe.report.sheet.document import (
    SheetDocument,
    describe_photo,
    describe_problem,
    facts_of_group,
    list_columns,
    list_row,
    totals_columns,
    totals_row,
)
from shenhe.report.sheet.docx_pictures import Pictures
from shenhe.report.sheet.paper import MARGIN, SHADE, SOFT, WIDTH, Colour
from shenhe.report.sheet.pdf import (
    COLOURS,
    GAP,
    LIST_WIDTHS,
    MAX_HEIGHTS,
    TOTALS_WIDTHS,
    layout_of,
)
from shenhe.report.times import show_time
from shenhe.rows.sheets import UNPRINTABLE
from shenhe.values import FAIL

LATIN_FONT, CHINESE_FONT = "Arial", "Microsoft YaHei"
"""Fonts that every Windows has; others put their own Chinese font in place."""


STYLES: Final = {"Normal": 10, "Title": 20, "Heading 1": 14, "Heading 2": 12, "Footer": 8}
"""Styles of the document and the size of their text. Units: points."""


def write_docx(document: SheetDocument, path: Path) -> None:
    """Write a document.

    Raises: OSError.
    """
    say, words = document.say, document.say.words
    file = Document()
    _prepare(file, document)
    title = f"{words['title']} · {document.reading.run_name}"
    file.core_properties.title = _clean(title)[:255]
    file.core_properties.author = "shenhe"
    file.core_properties.language = "zh-CN" if say.language == "zh" else "en"
    _write_front(file, document)
    pictures = Pictures(file)
    for number, group in enumerate(document.shown, 1):
        _write_group(file, pictures, document, number, group)
    _write_signatures(file, document)
    file.save(str(path))


def _prepare(file: DocxDocument, document: SheetDocument) -> None:
    """Set paper, fonts, the head and the foot of pages."""
    words = document.say.words
    section = file.sections[0]
    section.page_width, section.page_height = Mm(210), Mm(297)
    section.left_margin = section.right_margin = Mm(MARGIN)
    section.top_margin, section.bottom_margin = Mm(22), Mm(18)
    section.header_distance = section.footer_distance = Mm(9)
    for language in file.styles.element.iter(qn("w:lang")):
        language.set(qn("w:eastAsia"), "zh-CN")  # it decides between Chinese and Japanese shapes
    for name, size in STYLES.items():
        style = file.styles[name]
        style.font.name, style.font.size = LATIN_FONT, Pt(size)
        style.font.color.rgb = RGBColor(28, 37, 48)
        fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
        for attribute in ("w:asciiTheme", "w:hAnsiTheme", "w:eastAsiaTheme", "w:cstheme"):
            fonts.attrib.pop(qn(attribute), None)
        fonts.set(qn("w:eastAsia"), CHINESE_FONT)
        style.paragraph_format.space_after = Pt(4)
    head = section.header.paragraphs[0]
    right = f"{words['head_made']} {show_time(document.made)} ({document.reading.zone})"
    _add(head, f"{words['title']} · {document.reading.run_name[:60]}\t{right}", 8, SOFT)
    file.styles["Header"].paragraph_format.tab_stops.clear_all()
    head.paragraph_format.tab_stops.add_tab_stop(Mm(WIDTH), WD_TAB_ALIGNMENT.RIGHT)
    foot = section.footer.paragraphs[0]
    foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
    before, _, rest = words["page"].partition("{page}")
    between, _, after = rest.partition("{pages}")
    for text, field in ((before, "PAGE"), (between, "NUMPAGES"), (after, "")):
        _add(foot, text, 8, SOFT)
        if field:
            _add_field(foot, field)


def _write_front(file: DocxDocument, document: SheetDocument) -> None:
    say, words = document.say, document.say.words
    file.add_paragraph(words["title"], style="Title")
    _add_table(file, (), document.head, (38, WIDTH - 38), 9.5, bold_first=True)
    file.add_paragraph(words["totals"], style="Heading 1")
    rows = (totals_row(say, totals) for totals in document.totals)
    _add_table(file, totals_columns(say), rows, TOTALS_WIDTHS, 8.5)
    file.add_paragraph(words["list_title"], style="Heading 1")
    if document.hidden:
        _add(file.add_paragraph(), document.hidden, 9, COLOURS[FAIL])
    rows = (list_row(say, number, group) for number, group in enumerate(document.shown, 1))
    _add_table(file, list_columns(say), rows, LIST_WIDTHS, 8.5)


def _write_group(
    file: DocxDocument, pictures: Pictures, document: SheetDocument, number: int, group: SheetGroup
) -> None:
    say = document.say
    if number == 1:
        file.add_paragraph(say.words["groups_title"], style="Heading 1")
    heading = file.add_paragraph(style="Heading 2")
    _add(heading, f"{number}  {group.row.group_id}    ", 12)
    _add(heading, say.verdict(group.final), 12, COLOURS[group.final])
    facts = facts_of_group(say, group, document.reading)
    _add_table(file, (), facts, (30, WIDTH - 30), 9, bold_first=True, keep_with_next=True)
    if problem := say.problem(group):
        _add(file.add_paragraph(), problem, 9, SOFT)
    side_by_side, side = layout_of(len(group.photo_keys))
    _add(file.add_paragraph(), "", 4)
    photos = list(document.photos(group, side))
    if photos:
        _add_photos(file, pictures, document, photos, side_by_side)


def _add_photos(
    file: DocxDocument,
    pictures: Pictures,
    document: SheetDocument,
    photos: Sequence[ShownPhoto],
    side_by_side: int,
) -> None:
    """Add photos as a table, each with its text in its cell, so that no page parts them."""
    width = (WIDTH - GAP * (side_by_side - 1)) / side_by_side
    rows = -(-len(photos) // side_by_side)
    table = file.add_table(rows, side_by_side)
    _set_widths(table, [WIDTH / side_by_side] * side_by_side)
    cells = [cell for row in table.rows for cell in row.cells]
    for row in table.rows:
        _keep_whole(row)
    for cell, photo in zip(cells, photos, strict=False):
        _fill_photo(cell, pictures, document, photo, width - 2, MAX_HEIGHTS[side_by_side])


def _fill_photo(
    cell: _Cell,
    pictures: Pictures,
    document: SheetDocument,
    photo: ShownPhoto,
    width: float,
    max_height: float,
) -> None:
    paragraph = cell.paragraphs[0]
    if photo.jpeg:
        wide, high = photo.size_wh
        scale = min(width / wide, max_height / high)
        pictures.add(paragraph.add_run(), photo.jpeg, Mm(wide * scale), Mm(high * scale))
    else:
        _add(paragraph, describe_problem(document.say, photo), 9, COLOURS[FAIL])
    _add(cell.add_paragraph(), f"{photo.key} {photo.name}", 8, bold=True)
    for text in describe_photo(document.say, photo):
        _add(cell.add_paragraph(), text, 8)
    for each in cell.paragraphs:
        each.paragraph_format.space_after = Pt(1)


def _write_signatures(file: DocxDocument, document: SheetDocument) -> None:
    words = document.say.words
    file.add_paragraph(words["sign_title"], style="Heading 1")
    again = f"{words['sign_again']}{words['colon']}{words['sign_again_choices']}"
    blank, colon = "＿" * 16, words["colon"]
    lines = [again, f"{words['sign_remarks']}{colon}{'＿' * 38}"]
    lines += [
        f"{words[name]}{colon}{blank}　　{words['sign_date']}{colon}{blank}"
        for name in ("sign_inspector", "sign_lead", "sign_contractor")
    ]
    for line in lines:
        paragraph = file.add_paragraph()
        paragraph.paragraph_format.keep_with_next = line is not lines[-1]
        paragraph.paragraph_format.space_after = Pt(12)
        _add(paragraph, line, 10.5)


def _add_table(
    file: DocxDocument,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    widths: Sequence[float],
    size: float,
    bold_first: bool = False,
    keep_with_next: bool = False,
) -> None:
    """Add a table; its head is repeated on each page. Units: millimetres."""
    listed = list(rows)
    table = file.add_table(len(listed) + bool(head), len(widths), style="Table Grid")
    table.alignment = WD_TABLE_ALIGNMENT.CENTER
    _set_widths(table, widths)
    # Cells of a row are reached once a row: python-docx looks for each of them anew.
    for number, (row, texts) in enumerate(
        zip(table.rows, [*([head] if head else []), *listed], strict=True)
    ):
        is_head = bool(head) and number == 0
        for index, (cell, text) in enumerate(zip(row.cells, texts, strict=True)):
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(1)
            paragraph.paragraph_format.keep_with_next = keep_with_next and number < MAX_TOGETHER
            _add(paragraph, text, size, bold=is_head or (bold_first and index == 0))
            if is_head or (bold_first and index == 0):
                _shade(cell)
        if is_head:
            _mark(row, "w:tblHeader")
        if max(map(len, texts), default=0) < MAX_WHOLE:
            _keep_whole(row)


def _set_widths(table: Table, widths: Sequence[float]) -> None:
    table.autofit = False
    for column, width in zip(table.columns, widths, strict=True):
        column.width = Mm(width)
    for row in table.rows:
        for cell, width in zip(row.cells, widths, strict=True):
            cell.width = Mm(width)


def _keep_whole(row) -> None:  # type: ignore[no-untyped-def]
    _mark(row, "w:cantSplit")


def _mark(row, name: str) -> None:  # type: ignore[no-untyped-def]
    row._tr.get_or_add_trPr().append(OxmlElement(name))


def _shade(cell: _Cell) -> None:
    shade = OxmlElement("w:shd")
    shade.set(qn("w:val"), "clear")
    shade.set(qn("w:fill"), "{:02X}{:02X}{:02X}".format(*SHADE))
    cell._tc.get_or_add_tcPr().append(shade)


def _add(
    paragraph: Paragraph, text: str, size: float, colour: Colour | None = None, bold: bool = False
) -> None:
    """Add a foreign text to a paragraph, whatever characters it has."""
    run = paragraph.add_run(_clean(text))
    run.font.size, run.font.bold = Pt(size), bold
    if colour is not None:
        run.font.color.rgb = RGBColor(*colour)


def _add_field(paragraph: Paragraph, name: str) -> None:
    """Add a field that the reader fills in, as the number of a page."""
    run = paragraph.add_run()
    run.font.size, run.font.color.rgb = Pt(8), RGBColor(*SOFT)
    for kind in ("begin", "", "end"):
        element = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            element.set(qn("w:fldCharType"), kind)
        else:
            element.text = name
        run._r.append(element)


def _clean(text: str) -> str:
    """Write a text without what XML refuses, with marks of direction spelled out."""
    return UNPRINTABLE.sub("\ufffd", printable(text))


MAX_WHOLE: Final = 1_500
"""Characters of a row of a table that is kept on one page; a longer one may be parted."""
MAX_TOGETHER: Final = 12
"""Rows of a table that stay with what follows: Word gives up where it is a whole page."""
