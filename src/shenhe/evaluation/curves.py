"""The figures of verdicts as curves: small SVG pictures, which need no script to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shenhe.errors import spelled
from shenhe.evaluation.intervals import Share
from shenhe.evaluation.verdicts import Bin, Threshold

SIDE, EDGE = 320, 44
"""Units: pixels of a curve's square, and of the room around it for what the axes say."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of a curve. Units: pixels; `low` to `high` is its interval, `told` its words."""

    x: float
    y: float
    low: float
    high: float
    radius: float
    told: str


@dataclass(frozen=True, slots=True)
class Curve:
    """What a template draws: marks with intervals, a line through them, ticks of both axes."""

    title: str
    x_axis: str
    y_axis: str
    marks: Sequence[Mark]
    diagonal: bool
    ticks: list[tuple[float, str, str]]
    """Where a tick is along both axes, and what it says: on x, on y."""

    side: int = SIDE
    edge: int = EDGE

    @property
    def path(self) -> str:
        """The line through the marks, as SVG writes it."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)


def reliability(bins: Sequence[Bin]) -> Curve:
    """Draw how often people passed groups of about the same `p_pass`: on the diagonal at best."""
    most = max((one.groups for one in bins), default=1)
    marks: list[Mark] = []
    for one in bins:
        share = Share(round(one.passed * one.groups), one.groups)
        low, high = share.interval()
        told = f"p_pass {one.mean_p_pass:.3f}: {share.count} of {share.total} passed by people"
        radius = 3 + 5 * (one.groups / most) ** 0.5
        marks.append(_mark(one.mean_p_pass, one.passed, low, high, radius, told))
    return Curve(
        "可靠性 Reliability", "p_pass", "人工通过 passed by people", marks, True, _ticks(1.0)
    )


def trade_off_curve(points: Sequence[Threshold]) -> Curve:
    """Draw what slips through against what is left to people, one mark a threshold."""
    shares = [point.false_pass.value or 0.0 for point in points]
    highest = _round_up(max((point.false_pass.interval()[1] for point in points), default=0.0))
    marks = []
    for point, share in zip(points, shares, strict=True):
        low, high = point.false_pass.interval()
        left = point.left_to_people.value or 0.0
        threshold = spelled("pass_above", f"{point.pass_above:.6g}")
        told = f"{threshold}: {share:.1%} slip through, {left:.1%} are left"
        marks.append(_mark(left, share / highest, low / highest, high / highest, 3, told))
    return Curve(
        "取舍 Trade-off",
        "留给人工 left to people",
        "误放行 false passes",
        marks,
        False,
        _ticks(highest),
    )


def _mark(x: float, y: float, low: float, high: float, radius: float, told: str) -> Mark:
    up, lowest, top = (EDGE / 4 + SIDE * (1 - value) for value in (y, low, high))
    return Mark(EDGE + SIDE * x, up, lowest, top, radius, told)


def _ticks(highest: float) -> list[tuple[float, str, str]]:
    return [(n / 4, f"{n / 4:.0%}", f"{highest * n / 4:.3g}") for n in range(5)]


def _round_up(share: float) -> float:
    """Find the end of an axis: a round figure that everything is below."""
    return next(end for end in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if share <= end)
