"""Tables on the terminal: what stands in a cell is text, never rich's markup nor a command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shenhe.printable import printable

WIDTH = 120
"""Columns where stdout is no terminal."""


def print_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: int = 1,
    title: str | None = None,
    width: int = WIDTH,
) -> None:
    """Print a table whose first `left` columns are words, and the others figures."""
    console = Console()
    if not console.is_terminal:
        console.width = width
    table = Table(title=None if title is None else _cell(title), title_justify="left")
    for at, name in enumerate(head):
        table.add_column(_cell(name), justify="left" if at < left else "right")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(text: str) -> Text:
    return Text(printable(text))
