"""The figures of verdicts as tables, on a terminal or a page, and as curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from shenhe.evaluation.curves import Curve, reliability, trade_off_curve
from shenhe.evaluation.intervals import Share
from shenhe.evaluation.page import Table, environment
from shenhe.evaluation.verdicts import Outcome, VerdictScores, trade_off
from shenhe.files import whole_file
from shenhe.values import FAIL, PASS

HEAD = ["mission", "groups", "labelled", "decided", "accuracy", "false pass", "false fail"]
SAID = {PASS: "通过", FAIL: "不通过", "": "未决"}


def verdict_table(title: str, scores: Mapping[str, VerdictScores]) -> Table:
    """Lay the figures of each mission out, and of all of them, with their intervals."""
    rows = [
        [
            name or "all",
            f"{one.groups:,}",
            f"{one.coverage.total:,}",
            *map(_share, (one.coverage, one.accuracy, one.false_pass, one.false_fail)),
            *("-" if value is None else f"{value:.3f}" for value in (one.kappa, one.brier)),
        ]
        for name, one in scores.items()
        if name or len(scores) > 2
    ]
    return Table(f"{title} (95% intervals)", [*HEAD, "kappa", "Brier"], rows)


def confusion_table(scores: Mapping[str, VerdictScores]) -> Table:
    """Lay out what the model said of what people passed and failed."""
    pairs = [(truth, said) for truth in ("pass", "fail") for said in SAID]
    head = ["mission", *(f"{truth}: {SAID[said]}" for truth, said in pairs)]
    rows = [
        [name or "all", *(f"{one.confusion[pair]:,}" for pair in pairs)]
        for name, one in scores.items()
        if name or len(scores) > 2
    ]
    return Table("What people said: what the model said", head, rows)


def curves(outcomes: Sequence[Outcome], scores: Mapping[str, VerdictScores]) -> list[Curve]:
    """Draw all groups."""
    return [reliability(scores[""].reliability), trade_off_curve(trade_off(outcomes))]


def svg(curve: Curve) -> Markup:
    """Give a curve as a picture to put into a page."""
    text = environment().get_template("curve.svg").render(curve=curve)
    return Markup(text)  # noqa: S704 - the template has escaped what it was given


def write_verdict_page(
    path: Path,
    run_name: str,
    truth: str,
    outcomes: Sequence[Outcome],
    scores: Mapping[str, VerdictScores],
    further: Iterable[Table] = (),
    lines: Sequence[str] = (),
) -> None:
    """Write one self-contained HTML page; `further` tables and `lines` stand below the figures.

    Raises: RunError if it cannot be written.
    """
    drawn = [("all", curves(outcomes, scores))]
    if len(scores) > 2:
        drawn += [
            (name, curves([o for o in outcomes if o.mission == name], {"": one}))
            for name, one in scores.items()
            if name
        ]
    page = (
        environment()
        .get_template("verdicts.html")
        .render(
            run_name=run_name,
            truth=truth,
            tables=[verdict_table("Verdicts", scores), confusion_table(scores), *further],
            lines=lines,
            curves=drawn,
            svg=svg,
        )
    )
    with whole_file(path) as fresh:
        fresh.write_text(page, encoding="utf-8")


def _share(share: Share) -> str:
    if share.value is None:
        return "-"
    low, high = share.interval()
    return f"{share.value:.1%} ({low * 100:.1f}-{high * 100:.1f})"
