"""`shenhe evaluate`: figures on the terminal, as JSON and as a page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from shenhe.cli.tables import print_table
from shenhe.errors import UsageError
from shenhe.evaluation import (
    choose_threshold,
    compare,
    count_problems,
    has_decisions,
    read_outcomes,
    score_captions,
    score_verdicts,
    tables,
    verdict_table,
    write_page,
    write_verdict_page,
)
from shenhe.evaluation.page import Table
from shenhe.evaluation.thresholds import Threshold
from shenhe.files import whole_file
from shenhe.intake import read_annotations
from shenhe.printable import show


def evaluate(options: argparse.Namespace) -> int:
    """Measure captions, or verdicts."""
    return _verdicts(options) if options.kind == "verdicts" else _captions(options)


def _captions(options: argparse.Namespace) -> int:
    scores, photos = score_captions(
        read_annotations(options.predictions), read_annotations(options.truth)
    )
    scores.format_errors, scores.repairs = count_problems(options.predictions)
    for table in tables(scores):
        _print_table(table, 120)
    told = f"{scores.photos} photos, {scores.unanswered} without a caption"
    if scores.not_in_truth:
        told += f"; {scores.not_in_truth} captions are of photos that the truth does not know"
    show(told)
    _write_json(options.json, scores.to_json())
    if options.html is not None:
        write_page(
            options.html,
            scores,
            photos[: options.worst],
            predictions=options.predictions,
            truth=options.truth,
        )
        show(f"page: {options.html}")
    return 0


def _verdicts(options: argparse.Namespace) -> int:
    for option, value in (
        ("max-false-pass", options.max_false_pass),
        ("confidence", options.confidence),
    ):
        if value is not None and not 0 < value < 1:
            raise UsageError(f"--{option} {value}: must be between 0 and 1")
    outcomes = read_outcomes(options.run_dir, options.truth)
    scores = score_verdicts(outcomes)
    title = "Verdicts" if options.truth == "labels" else "Verdicts against people's decisions"
    _print_table(verdict_table(title, scores), 160)
    told: dict[str, Any] = {name or "all": one.to_json() for name, one in scores.items()}
    further, lines = [], []
    if options.truth == "labels" and has_decisions(options.run_dir):
        people = score_verdicts(read_outcomes(options.run_dir, "decisions"))
        if people[""].coverage.total:
            further.append(verdict_table("Against people's decisions in review", people))
            _print_table(further[0], 160)
            told["decisions"] = {name or "all": one.to_json() for name, one in people.items()}
    if options.max_false_pass is not None:
        found = choose_threshold(outcomes, options.max_false_pass, options.confidence)
        told["threshold"] = None if found is None else found.to_json()
        lines.append(_promise(options, found, scores[""].false_pass.total))
    if options.against is not None:
        result = compare(outcomes, read_outcomes(options.against, options.truth))
        told["comparison"] = result._asdict()
        lines.append(
            f"against {options.against}: of {result.groups} labelled groups in both,"
            f" {result.only_first_right} are right here alone, {result.only_second_right} there"
            f" alone; McNemar's p = {result.p_value:.3g}"
        )
    for line in lines:
        show(line)
    _write_json(options.json, told)
    if options.html is not None:
        name = options.run_dir.resolve().name
        write_verdict_page(options.html, name, title, outcomes, scores, further, lines)
        show(f"page: {options.html}")
    return 0


def _print_table(table: Table, width: int) -> None:
    print_table(table.head, table.rows, title=table.title, width=width)


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
    with whole_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
