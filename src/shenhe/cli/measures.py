"""`shenhe evaluate`: figures on the terminal, as JSON and as a page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shenhe.errors import RunError, UsageError
from shenhe.evaluation import (
    choose_threshold,
    compare,
    count_problems,
    read_outcomes,
    score_captions,
    score_verdicts,
    tables,
    write_page,
)
from shenhe.evaluation.intervals import Share
from shenhe.evaluation.verdicts import Threshold, VerdictScores
from shenhe.intake import read_annotations


def evaluate(options: argparse.Namespace) -> int:
    """Measure captions, or verdicts."""
    return _verdicts(options) if options.kind == "verdicts" else _captions(options)


def _captions(options: argparse.Namespace) -> int:
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
    _write_json(options.json, scores.to_json())
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


def _verdicts(options: argparse.Namespace) -> int:
    for option, value in (
        ("max-false-pass", options.max_false_pass),
        ("confidence", options.confidence),
    ):
        if value is not None and not 0 < value < 1:
            raise UsageError(f"--{option} {value}: must be between 0 and 1")
    outcomes = read_outcomes(options.run_dir)
    scores = score_verdicts(outcomes)
    _print_verdicts(scores)
    told: dict[str, Any] = {name or "all": one.to_json() for name, one in scores.items()}
    if options.max_false_pass is not None:
        found = choose_threshold(outcomes, options.max_false_pass, options.confidence)
        told["threshold"] = None if found is None else found.to_json()
        print(_promise(options, found, scores[""].false_pass.total))
    if options.against is not None:
        result = compare(outcomes, read_outcomes(options.against))
        told["comparison"] = result._asdict()
        print(
            f"against {options.against}: of {result.groups} labelled groups in both,"
            f" {result.only_first_right} are right here alone, {result.only_second_right} there"
            f" alone; McNemar's p = {result.p_value:.3g}"
        )
    _write_json(options.json, told)
    return 0


def _print_verdicts(scores: dict[str, VerdictScores]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 160
    head = ("mission", "groups", "labelled", "decided", "accuracy", "false pass", "false fail")
    table = Table(*head, "kappa", "Brier", title="Verdicts (95% intervals)", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, one in scores.items():
        if name or len(scores) > 2:
            shares = (one.coverage, one.accuracy, one.false_pass, one.false_fail)
            table.add_row(
                _plain(name) or "all",
                f"{one.groups:,}",
                f"{one.coverage.total:,}",
                *map(_share, shares),
                *("-" if value is None else f"{value:.3f}" for value in (one.kappa, one.brier)),
            )
    console.print(table)


def _share(share: Share) -> str:
    if share.value is None:
        return "-"
    low, high = share.interval()
    return f"{share.value:.1%} ({low * 100:.1f}-{high * 100:.1f})"


def _promise(options: argparse.Namespace, found: Threshold | None, bad: int) -> str:
    wanted = f"at most {options.max_false_pass:g} of bad groups, {options.confidence:g} sure"
    if found is None:
        return (
            f"{wanted}: no threshold can promise that; {bad} groups that people failed are too few"
        )
    return (
        f"{wanted}: --pass-above {found.pass_above:g}; {found.false_pass.count} of"
        f" {found.false_pass.total} got through here, {found.left_to_people.value:.1%} of all are"
        " left to people"
    )


def _write_json(path: Path | None, figures: dict[str, Any]) -> None:
    if path is None:
        return
    text = json.dumps(figures, ensure_ascii=False, indent=2) + "\n"
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def _plain(text: str) -> str:
    """Keep a model's text from being read as rich's markup."""
    return text.replace("[", "\\[")
