"""Figures of verdicts as curves: small SVG pictures without a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shenhe.errors import spelled
from shenhe.evaluation.thresholds import Threshold
from shenhe.evaluation.verdicts import ReliabilityBin
from shenhe.proportions import Share
from shenhe.rows.words import Words

SIDE, EDGE = 320, 44
"""Side of a curve's square, and margin around it for the axes' texts. Units: pixels."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a curve. Units: pixels; `low` to `high` is its interval, `title` its tooltip."""

    x: float
    y: float
    low: float
    high: float
    radius: float
    title: str


@dataclass(frozen=True, slots=True)
class Curve:
    """What a template draws: marks with intervals, a line through them, ticks of both axes."""

    title: str
    x_axis: str
    y_axis: str
    marks: Sequence[Mark]
    diagonal: bool
    ticks: list[tuple[float, str, str]]
    """Position of each tick along both axes, 0 to 1, and its texts: on x, on y."""

    side: int = SIDE
    edge: int = EDGE

    @property
    def path(self) -> str:
        """The line through the marks, as SVG writes it."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)


def reliability(bins: Sequence[ReliabilityBin]) -> Curve:
    """Draw how often people passed groups of about the same `p_pass`: on the diagonal at best."""
    largest = max((each.groups for each in bins), default=1)
    marks: list[Mark] = []
    for each in bins:
        share = Share(round(each.passed * each.groups), each.groups)
        low, high = share.interval()
        title = Words(
            f"p_pass {each.mean_p_pass:.3f}：{share.total} 组中人工通过 {share.count} 组",
            f"p_pass {each.mean_p_pass:.3f}: {share.count} of {share.total} passed by people",
        ).told()
        radius = 3 + 5 * (each.groups / largest) ** 0.5
        marks.append(_mark(each.mean_p_pass, each.passed, low, high, radius, title))
    passed = Words("人工通过", "passed by people").spoken()
    title = Words("可靠性", "Reliability").spoken()
    return Curve(title, "p_pass", passed, marks, True, _ticks(1.0))


def trade_off_curve(points: Sequence[Threshold]) -> Curve:
    """Draw false passes against groups that are left to people, one mark a threshold."""
    highest = _round_up(max((point.false_pass.interval()[1] for point in points), default=0.0))
    marks = []
    for point in points:
        share, left = point.false_pass.value or 0.0, point.left_to_people.value or 0.0
        low, high = point.false_pass.interval()
        threshold = spelled("pass_above", f"{point.pass_above:.6g}")
        title = Words(
            f"{threshold}：误放行 {share:.1%}，留给人工 {left:.1%}",
            f"{threshold}: {share:.1%} slip through, {left:.1%} are left",
        ).told()
        marks.append(_mark(left, share / highest, low / highest, high / highest, 3, title))
    return Curve(
        Words("取舍", "Trade-off").spoken(),
        Words("留给人工", "left to people").spoken(),
        Words("误放行", "false passes").spoken(),
        marks,
        False,
        _ticks(highest),
    )


def _mark(x: float, y: float, low: float, high: float, radius: float, title: str) -> Mark:
    y, low, high = (EDGE / 4 + SIDE * (1 - value) for value in (y, low, high))
    return Mark(EDGE + SIDE * x, y, low, high, radius, title)


def _ticks(highest: float) -> list[tuple[float, str, str]]:
    return [(n / 4, f"{n / 4:.0%}", f"{highest * n / 4:.3g}") for n in range(5)]


def _round_up(share: float) -> float:
    """Give the end of an axis: the lowest round figure above a share."""
    return next(end for end in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if share <= end)
