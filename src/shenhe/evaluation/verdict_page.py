"""Scores of verdicts as tables, for a terminal or a page, and as curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from markupsafe import Markup

from shenhe.evaluation.curves import Curve, reliability, trade_off_curve
from shenhe.evaluation.page import Table
from shenhe.evaluation.thresholds import trade_off
from shenhe.evaluation.verdicts import VerdictScores
from shenhe.files import whole_file
from shenhe.proportions import Share
from shenhe.rows.outcomes import Outcome
from shenhe.rows.words import ALL, GROUPS, MISSION, UNDECIDED, Words, describe_false_pass
from shenhe.templating import environment
from shenhe.values import EXPECTED, FAIL, PASS

HEAD: Final = (
    MISSION,
    GROUPS,
    Words("人工已判", "labelled"),
    Words("已决", "decided"),
    Words("一致", "accuracy"),
    Words("误放行，占不合格组", "false pass, of failed"),
    Words("误拦，占合格组", "false fail, of passed"),
)
VERDICT_NAMES: Final = {PASS: Words(PASS, PASS), FAIL: Words(FAIL, FAIL), "": UNDECIDED}
TRUTHS: Final = {
    "pass": Words("人工通过", "people: pass"),
    "fail": Words("人工不通过", "people: fail"),
}


def verdict_table(title: str, scores: Mapping[str, VerdictScores]) -> Table:
    """Lay out the figures of each mission and of all together, with their intervals.

    Example:
        table = verdict_table("verdicts", score_verdicts(outcomes))

    """
    rows = [
        [
            name or ALL.spoken(),
            f"{score.groups:,}",
            f"{score.coverage.total:,}",
            *map(_share, (score.coverage, score.accuracy, score.false_pass, score.false_fail)),
            *("-" if value is None else f"{value:.3f}" for value in (score.kappa, score.brier)),
        ]
        for name, score in scores.items()
        if name or len(scores) > 2
    ]
    head = [words.spoken("\n") for words in HEAD]
    intervals = Words("（95% 区间）", " (95% intervals)").spoken()
    return Table(f"{title}{intervals}", [*head, "kappa", "Brier"], rows)


def describe_scores(scores: Mapping[str, VerdictScores]) -> list[str]:
    r"""Say how often each mission passes what people fail, and what that is a share of.

    Example:
        print(*describe_scores(score_verdicts(outcomes)), sep="\n")

    """
    rates = [
        (name or ALL.spoken(), describe_false_pass(score.false_pass, score.bad_passes))
        for name, score in scores.items()
        if (name or len(scores) > 2) and score.coverage.total
    ]
    return [
        line
        for name, words in rates
        for line in Words(f"{name}：{words.zh}", f"{name}: {words.en}").lines()
    ]


def confusion_table(scores: Mapping[str, VerdictScores]) -> Table:
    """Lay out the verdicts of the model on the groups that people passed and failed."""
    pairs = [(truth, verdict) for truth in EXPECTED for verdict in VERDICT_NAMES]
    head = [
        MISSION.spoken("\n"),
        *(f"{TRUTHS[truth].spoken()}\n{VERDICT_NAMES[verdict].told()}" for truth, verdict in pairs),
    ]
    rows = [
        [name or ALL.spoken(), *(f"{score.confusion[pair]:,}" for pair in pairs)]
        for name, score in scores.items()
        if name or len(scores) > 2
    ]
    title = Words("人工结论：模型结论", "What people said: what the model said")
    return Table(title.spoken(), head, rows)


def curves(outcomes: Sequence[Outcome], scores: Mapping[str, VerdictScores]) -> list[Curve]:
    """Draw the curves of all groups.

    Example:
        pictures = [svg(curve) for curve in curves(outcomes, score_verdicts(outcomes))]

    """
    return [reliability(scores[""].reliability), trade_off_curve(trade_off(outcomes))]


def svg(curve: Curve) -> Markup:
    """Render a curve as a picture inside a page.

    Example:
        picture = svg(curves(outcomes, scores)[0])

    """
    text = environment("shenhe.evaluation").get_template("curve.svg").render(curve=curve)
    return Markup(text)  # noqa: S704 - the template has escaped its values


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

    Example:
        write_verdict_page(Path("verdicts.html"), "out", "labels", outcomes, scores)

    """
    drawn = [(ALL.spoken(), curves(outcomes, scores))]
    if len(scores) > 2:
        drawn += [
            (name, curves([o for o in outcomes if o.mission == name], {"": score}))
            for name, score in scores.items()
            if name
        ]
    page = (
        environment("shenhe.evaluation")
        .get_template("verdicts.html")
        .render(
            run_name=run_name,
            truth=truth,
            tables=[verdict_table(truth, scores), confusion_table(scores), *further],
            lines=lines,
            curves=drawn,
            svg=svg,
        )
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _share(share: Share) -> str:
    if share.value is None:
        return "-"
    low, high = share.interval()
    return f"{share.value:.1%} ({low * 100:.1f}-{high * 100:.1f})"
