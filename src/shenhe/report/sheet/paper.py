"""Pages of A4 with the bundled Chinese font: lines, tables and pictures that break well."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from fpdf import FPDF

from shenhe.printable import printable
from shenhe.report.sheet.line_breaks import break_lines

FONT: Final = "sheet"
MARGIN, TOP, BOTTOM, WIDTH = 15.0, 20.0, 280.0, 180.0
"""Millimetres: the margin at the sides, where text begins and ends, and its width."""
POINT: Final = 25.4 / 72
"""Millimetres of a point."""
LEADING: Final = 1.45
"""Height of a line over that of its text."""
PAD: Final = 1.2
"""Millimetres round the text of a cell."""
ABSENT: Final = "□"
Colour = tuple[int, int, int]
INK: Final[Colour] = (28, 37, 48)
SOFT: Final[Colour] = (91, 103, 117)
RULE: Final[Colour] = (190, 198, 208)
SHADE: Final[Colour] = (238, 242, 247)


class Column(NamedTuple):
    """A column of a table. Units: millimetres."""

    name: str
    width: float
    align: str = "L"


class Paper(FPDF):
    """A document under way. Units: millimetres from the top left corner; text in points.

    Text is foreign: controls and marks of direction are spelled out, and a character that the font
    lacks becomes □, which `absent` notes.
    """

    def __init__(self, font: Path, left: str, right: str, page_words: str) -> None:
        """Begin; `left` and `right` head each page, `page_words` names its number at its foot."""
        super().__init__(format="A4")
        self.set_auto_page_break(False)
        self.set_margins(MARGIN, TOP, MARGIN)
        self.add_font(FONT, "", str(font))
        self.set_font(FONT, size=10)
        self._signs = self.fonts[FONT].cmap  # type: ignore[union-attr]
        self._head, self._page_words = (left, right), page_words
        self.absent: dict[str, None] = {}
        self.measure = lru_cache(maxsize=50_000)(self._measure)

    def header(self) -> None:
        """Write the head of a page; fpdf2 calls it."""
        left, right = self._head
        self._line(left[:60], MARGIN, 10, 8, SOFT)
        shown = self.clean(right)
        self._line(shown, MARGIN + WIDTH - self.width_of(shown, 8), 10, 8, SOFT)
        self._rule(15)
        self.set_y(TOP)

    def footer(self) -> None:
        """Write the number of a page; fpdf2 calls it, and knows the number of all at the end."""
        text = self._page_words.format(page=self.page_no(), pages=self.str_alias_nb_pages)
        self.set_text_color(*SOFT)
        self.set_font(FONT, size=8)
        self.set_xy(MARGIN, 285)
        self.cell(WIDTH, 5, text, align="C")

    def clean(self, text: str) -> str:
        """Write a foreign text so that all of it is seen."""
        shown = printable(text).replace("\t", "    ").replace("\r", " ")
        return "".join(map(self._sign, shown))

    def width_of(self, text: str, size: float) -> float:
        """Measure a text in millimetres."""
        return self.measure(text) * size

    def break_text(self, text: str, width: float, size: float) -> list[str]:
        """Break a text into the lines of a width."""
        return break_lines(self.clean(text), width / size, self.measure)

    def need(self, height: float) -> None:
        """Begin a page where less than a height is left."""
        if self.get_y() + height > BOTTOM:
            self.add_page()

    def heading(self, text: str, size: float = 13, keep: float = 30) -> None:
        """Write a heading, with room for what follows on the same page."""
        self.need(size * LEADING * POINT + 4 + keep)
        self.set_y(self.get_y() + (3 if self.get_y() > TOP else 0))
        self.lines(self.break_text(text, WIDTH, size), size, bold=True)
        self.set_y(self.get_y() + 1.5)

    def paragraph(self, text: str, size: float = 10, colour: Colour = INK) -> None:
        """Write a text over the whole width, on as many pages as it needs."""
        self.lines(self.break_text(text, WIDTH, size), size, colour)

    def lines(
        self, lines: Iterable[str], size: float, colour: Colour = INK, bold: bool = False
    ) -> None:
        """Write lines one below the other."""
        height = size * LEADING * POINT
        for line in lines:
            self.need(height)
            y = self.get_y()
            self._line(line, MARGIN, y, size, colour, bold)
            self.set_y(y + height)

    def grid(
        self,
        columns: Sequence[Column],
        rows: Iterable[Sequence[str]],
        size: float = 9,
        bold_first: bool = False,
    ) -> None:
        """Write a table; its head stands on each page, a row longer than a page goes on.

        A table of columns without names has no head.
        """
        head = [column.name for column in columns]
        has_head = any(head)
        height = size * LEADING * POINT
        if has_head:
            self.need(3 * height + 4 * PAD)
            self._row(columns, head, size, shade=True)
        for row in rows:
            cells = self._break_cells(columns, row, size)
            tallest = max(map(len, cells))
            if tallest * height + 2 * PAD > BOTTOM - self.get_y() and tallest < MAX_KEPT:
                self._next_page(columns, head if has_head else [], size)
            while True:
                room = int((BOTTOM - self.get_y() - 2 * PAD) / height)
                if room < min(2, tallest):
                    self._next_page(columns, head if has_head else [], size)
                    continue
                self._draw([cell[:room] for cell in cells], columns, size, bold_first)
                cells = [cell[room:] for cell in cells]
                if not any(cells):
                    break

    def picture(self, jpeg: bytes, x: float, y: float, width: float, height: float) -> None:
        """Place a picture; JPEG is stored as it is."""
        self.image(io.BytesIO(jpeg), x=x, y=y, w=width, h=height)

    def box(self, x: float, y: float, width: float, height: float, shade: bool = True) -> None:
        """Draw a box."""
        self.set_fill_color(*SHADE)
        self.set_draw_color(*RULE)
        self.set_line_width(0.2)
        self.rect(x, y, width, height, style="DF" if shade else "D")

    def text_at(
        self, text: str, x: float, y: float, size: float, colour: Colour = INK, bold: bool = False
    ) -> None:
        """Write one line at a position."""
        self._line(text, x, y, size, colour, bold)

    def describe(self, title: str, language: str, made: datetime) -> None:
        """Set what readers of the file say of it."""
        self.set_title(self.clean(title))
        self.set_lang("zh-CN" if language == "zh" else "en")
        self.set_creator("shenhe")
        self.set_creation_date(made)

    def _sign(self, character: str) -> str:
        if character == "\n" or ord(character) in self._signs:
            return character
        self.absent[character] = None
        return ABSENT

    def _measure(self, text: str) -> float:
        return self.fonts[FONT].get_text_width(text, 1, None)[1] * POINT

    def _next_page(self, columns: Sequence[Column], head: Sequence[str], size: float) -> None:
        self.add_page()
        if head:
            self._row(columns, head, size, shade=True)

    def _row(self, columns: Sequence[Column], row: Sequence[str], size: float, shade: bool) -> None:
        self._draw(self._break_cells(columns, row, size), columns, size, shade=shade)

    def _break_cells(
        self, columns: Sequence[Column], row: Sequence[str], size: float
    ) -> list[list[str]]:
        return [
            self.break_text(text, column.width - 2 * PAD, size)
            for column, text in zip(columns, row, strict=True)
        ]

    def _draw(
        self,
        cells: Sequence[Sequence[str]],
        columns: Sequence[Column],
        size: float,
        bold_first: bool = False,
        shade: bool = False,
    ) -> None:
        """Draw the cells of a row, or of a part of one."""
        height = size * LEADING * POINT
        x, y = MARGIN, self.get_y()
        tall = max(map(len, cells)) * height + 2 * PAD
        for number, (column, lines) in enumerate(zip(columns, cells, strict=True)):
            is_bold = shade or (bold_first and number == 0)
            self.box(x, y, column.width, tall, shade=is_bold)
            for index, line in enumerate(lines):
                left = x + PAD
                if column.align == "R":
                    left = x + column.width - PAD - self.width_of(line.rstrip(), size)
                self._line(line, left, y + PAD + index * height, size, INK, is_bold)
            x += column.width
        self.set_xy(MARGIN, y + tall)

    def _line(
        self, text: str, x: float, y: float, size: float, colour: Colour, bold: bool = False
    ) -> None:
        text = self.clean(text).rstrip()
        if not text:
            return
        self.set_font(FONT, size=size)
        self.set_text_color(*colour)
        self.set_draw_color(*colour)
        self.set_line_width(size * POINT / 30)
        self.text_mode = "FILL_STROKE" if bold else "FILL"
        self.text(x, y + size * POINT * 1.06, text)
        self.text_mode = "FILL"

    def _rule(self, y: float) -> None:
        self.set_draw_color(*RULE)
        self.set_line_width(0.2)
        self.line(MARGIN, y, MARGIN + WIDTH, y)


MAX_KEPT: Final = 30
"""Lines of a row that is kept on one page; longer ones are broken where the page ends."""
