"""Tables and sentences on the terminal: plain text, never rich's markup or control sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shenhe.printable import on_one_line, printable, show_data, worded
from shenhe.rows.words import Words

WIDTH = 120
"""Width in columns if stdout is no terminal."""


def print_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    title: str | None = None,
    width: int = WIDTH,
) -> None:
    """Print a table; its first `left` columns are aligned left, the others right.

    Head and title are messages.
    """
    console = Console()
    if not console.is_terminal:
        console.width = width
    table = Table(title=None if title is None else _cell(worded(title)), title_justify="left")
    for index, name in enumerate(head):
        table.add_column(_cell(worded(name)), justify="left" if index < left else "right")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def show_words(words: Words) -> None:
    """Print a sentence in the language that is spoken, else in both, a line each."""
    for line in words.lines():
        show_data(on_one_line(line.strip()))


def _cell(text: str) -> Text:
    return Text(printable(text))
