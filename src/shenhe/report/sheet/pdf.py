"""A sheet as PDF: A4, with the bundled Chinese font inside, so that it reads alike everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.overlays import font_file
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
from shenhe.report.sheet.paper import (
    BOTTOM,
    INK,
    LEADING,
    MARGIN,
    POINT,
    SOFT,
    WIDTH,
    Colour,
    Column,
    Paper,
)
from shenhe.report.times import show_time
from shenhe.values import FAIL, PASS, Ruling

COLOURS: Final[dict[Ruling | None, Colour]] = {
    PASS: (23, 115, 74),
    FAIL: (179, 38, 30),
    None: (138, 90, 0),
}
TOTALS_WIDTHS: Final = (36, 14, 14, 12, 14, 19, 17, 27, 27)
LIST_WIDTHS: Final = (10, 44, 38, 14, 19, 18, 19, 18)
GAP: Final = 4.0
"""Millimetres between photos."""
MAX_HEIGHTS: Final = {2: 72.0, 3: 62.0, 4: 50.0}
"""Millimetres that a picture is high at most, by how many stand side by side."""
CAPTION_SIZE: Final = 8.0
MAX_CAPTION: Final = 10
"""Lines below a picture; a longer text stands in full below the photos."""


class _Caption(NamedTuple):
    lines: list[str]
    is_cut: bool


def layout_of(photos: int) -> tuple[int, int]:
    """Choose how many photos stand side by side, and the longer side of each in pixels.

    >>> layout_of(2), layout_of(8), layout_of(28)
    ((2, 720), (3, 480), (4, 360))
    """
    if photos <= 4:
        return 2, 720
    return (3, 480) if photos <= 12 else (4, 360)


def write_pdf(document: SheetDocument, path: Path) -> None:
    """Write a document.

    Raises: OSError.
    """
    say, words = document.say, document.say.words
    right = f"{words['head_made']} {show_time(document.made)} ({document.reading.zone})"
    left = f"{words['title']} · {document.reading.run_name}"
    with font_file() as font:
        paper = Paper(font, left, right, words["page"])
        paper.describe(left, say.language, document.made)
        paper.add_page()
        _write_front(paper, document)
        for number, group in enumerate(document.shown, 1):
            _write_group(paper, document, number, group)
        _write_signatures(paper, document)
        paper.output(str(path))


def _write_front(paper: Paper, document: SheetDocument) -> None:
    say, words = document.say, document.say.words
    paper.lines([words["title"]], 20, bold=True)
    paper.set_y(paper.get_y() + 3)
    plain = [Column("", 38), Column("", WIDTH - 38)]
    paper.grid(plain, document.head, 9.5, bold_first=True)
    paper.heading(words["totals"])
    totals = map(Column, totals_columns(say), TOTALS_WIDTHS, ("L", *("R",) * 6, "L", "L"))
    paper.grid(list(totals), (totals_row(say, each) for each in document.totals), 8.5)
    paper.heading(words["list_title"])
    if document.hidden:
        paper.paragraph(document.hidden, 9, COLOURS[FAIL])
    listed = map(Column, list_columns(say), LIST_WIDTHS, ("R", "L", "L", "R", *("L",) * 4))
    rows = (list_row(say, number, group) for number, group in enumerate(document.shown, 1))
    paper.grid(list(listed), rows, 8.5)


def _write_group(paper: Paper, document: SheetDocument, number: int, group: SheetGroup) -> None:
    say = document.say
    facts = facts_of_group(say, group, document.reading)
    # What is said of a group and its first photos stand on one page.
    together = 150 if group.photo_keys else 60
    if number == 1:
        paper.heading(say.words["groups_title"], keep=together)
    paper.need(together)
    _write_bar(paper, f"{number}  {group.row.group_id}", say.verdict(group.final), group.final)
    paper.grid([Column("", 30), Column("", WIDTH - 30)], facts, 9, bold_first=True)
    paper.set_y(paper.get_y() + 3)
    if problem := say.problem(group):
        paper.paragraph(problem, 9, SOFT)
    side_by_side, side = layout_of(len(group.photo_keys))
    photos: list[ShownPhoto] = []
    for photo in document.photos(group, side):
        photos.append(photo)
        if len(photos) == side_by_side:
            _write_photos(paper, document, photos, side_by_side)
            photos = []
    if photos:
        _write_photos(paper, document, photos, side_by_side)
    paper.set_y(paper.get_y() + 4)


def _write_bar(paper: Paper, title: str, badge: str, final: Ruling | None) -> None:
    """Write the bar that begins a group: its number and name, and its verdict at the right."""
    width = paper.width_of(paper.clean(badge), 11)
    lines = paper.break_text(title, WIDTH - width - 12, 11)
    height = len(lines) * 11 * LEADING * POINT + 2
    paper.need(height + 20)
    y = paper.get_y()
    paper.box(MARGIN, y, WIDTH, height)
    for index, line in enumerate(lines):
        paper.text_at(line, MARGIN + 2, y + 1 + index * 11 * LEADING * POINT, 11, INK, bold=True)
    paper.text_at(badge, MARGIN + WIDTH - width - 3, y + 1, 11, COLOURS[final], bold=True)
    paper.set_y(y + height)


def _write_photos(
    paper: Paper, document: SheetDocument, photos: Sequence[ShownPhoto], side_by_side: int
) -> None:
    """Write a row of photos, each with its text below it, on one page."""
    width = (WIDTH - GAP * (side_by_side - 1)) / side_by_side
    sizes = [_fit(photo, width, MAX_HEIGHTS[side_by_side]) for photo in photos]
    captions = [_caption(paper, document, photo, width) for photo in photos]
    picture_height = max(height for _, height in sizes)
    line = CAPTION_SIZE * LEADING * POINT
    paper.need(picture_height + max(len(caption.lines) for caption in captions) * line + 5)
    y = paper.get_y()
    for number, (photo, (wide, high), caption) in enumerate(
        zip(photos, sizes, captions, strict=True)
    ):
        x = MARGIN + number * (width + GAP)
        if photo.jpeg:
            paper.picture(photo.jpeg, x, y, wide, high)
        else:
            paper.box(x, y, wide, high)
            problem = paper.break_text(describe_problem(document.say, photo), wide - 4, 9)
            for index, text in enumerate(problem):
                paper.text_at(text, x + 2, y + 3 + index * 9 * LEADING * POINT, 9, COLOURS[FAIL])
        for index, text in enumerate(caption.lines):
            top = y + picture_height + 1 + index * line
            paper.text_at(text, x, top, CAPTION_SIZE, INK, bold=index == 0)
    longest = max(len(caption.lines) for caption in captions)
    paper.set_y(y + picture_height + longest * line + 4)
    _write_in_full(paper, document, zip(photos, captions, strict=True))


def _write_in_full(
    paper: Paper, document: SheetDocument, cut: Iterable[tuple[ShownPhoto, _Caption]]
) -> None:
    """Write the texts that are too long to stand below their photos."""
    words = document.say.words
    for photo, caption in cut:
        if caption.is_cut:
            title = words["seen_in_full"].format(key=photo.key)
            text = words["joint"].join(describe_photo(document.say, photo))
            paper.paragraph(f"{title}{words['colon']}{text}", CAPTION_SIZE)
            paper.set_y(paper.get_y() + 2)


def _caption(paper: Paper, document: SheetDocument, photo: ShownPhoto, width: float) -> _Caption:
    """Lay out the name of a photo and what was seen on it."""
    lines = paper.break_text(f"{photo.key} {photo.name}".rstrip(), width, CAPTION_SIZE)[:2]
    for text in describe_photo(document.say, photo):
        lines += paper.break_text(text, width, CAPTION_SIZE)
    if len(lines) <= MAX_CAPTION:
        return _Caption(lines, is_cut=False)
    return _Caption([*lines[: MAX_CAPTION - 1], "…"], is_cut=True)


def _fit(photo: ShownPhoto, width: float, max_height: float) -> tuple[float, float]:
    """Fit a picture into a box; what cannot be opened has a box of its own."""
    if not photo.jpeg:
        return width, 30.0
    wide, high = photo.size_wh
    scale = min(width / wide, max_height / high)
    return wide * scale, high * scale


def _write_signatures(paper: Paper, document: SheetDocument) -> None:
    words = document.say.words
    if paper.absent:
        codes = ", ".join(f"U+{ord(sign):04X}" for sign in list(paper.absent)[:40])
        paper.paragraph(words["absent_signs"].format(codes=codes), 8, SOFT)
    paper.heading(words["sign_title"], keep=55)
    paper.lines([f"{words['sign_again']}{words['colon']}{words['sign_again_choices']}"], 10.5)
    y = paper.get_y() + 4
    paper.text_at(f"{words['sign_remarks']}{words['colon']}", MARGIN, y, 10.5)
    for line in (y + 6, y + 14):
        _blank(paper, MARGIN + 28, line, WIDTH - 28)
    for number, name in enumerate(("sign_inspector", "sign_lead", "sign_contractor")):
        top = y + 20 + number * 11
        paper.text_at(f"{words[name]}{words['colon']}", MARGIN, top, 10.5)
        _blank(paper, MARGIN + 28, top + 5.5, 62)
        paper.text_at(f"{words['sign_date']}{words['colon']}", MARGIN + 100, top, 10.5)
        _blank(paper, MARGIN + 118, top + 5.5, 62)
    paper.set_y(min(y + 56, BOTTOM))


def _blank(paper: Paper, x: float, y: float, width: float) -> None:
    """Draw a line to write on."""
    paper.set_draw_color(*SOFT)
    paper.set_line_width(0.2)
    paper.line(x, y, x + width, y)
