"""`shenhe evaluate`: figures on the terminal, as JSON and as a page."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.table import Table

from shenhe.errors import RunError
from shenhe.evaluation import count_problems, score_captions, tables, write_page
from shenhe.intake import read_annotations


def evaluate(options: argparse.Namespace) -> int:
    """Measure captions."""
    scores, photos = score_captions(
        read_annotations(options.predictions), read_annotations(options.truth)
    )
    scores.format_errors, scores.repairs = count_problems(options.predictions)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    for title, head, rows in tables(scores):
        table = Table(*head, title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*map(_plain, row))
        console.print(table)
    told = f"{scores.photos} photos, {scores.unanswered} without a caption"
    if scores.not_in_truth:
        told += f"; {scores.not_in_truth} captions are of photos that the truth does not know"
    print(told)
    if options.json is not None:
        text = json.dumps(scores.to_json(), ensure_ascii=False, indent=2) + "\n"
        try:
            options.json.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RunError(f"{options.json}: cannot be written: {error.strerror}") from error
    if options.html is not None:
        write_page(
            options.html,
            scores,
            photos[: options.worst],
            predictions=options.predictions,
            truth=options.truth,
        )
        print(f"page: {options.html}")
    return 0


def _plain(text: str) -> str:
    """Keep a model's text from being read as rich's markup."""
    return text.replace("[", "\\[")
