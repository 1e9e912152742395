"""Which groups people look at first."""

from __future__ import annotations

import pytest

from shenhe.row_types import VerdictMeta, VerdictRow
from shenhe.rows.need import Need, need_of, queue_position
from shenhe.values import FAIL, PASS, Label, Ruling


def _row(verdict: Ruling | None, label: Label | None, p_pass: float | None) -> VerdictRow:
    return VerdictRow(
        group_id="g",
        mission="m",
        label=label,
        verdict=verdict,
        reason="",
        p_pass=p_pass,
        status="decided" if verdict else "undecided",
        raw="",
        timestamp="t",
        meta=VerdictMeta(prompt_hash="", checkpoint="", answers={}),
    )


@pytest.mark.parametrize(
    ("verdict", "label", "p_pass", "need", "position"),
    [
        (None, None, None, Need.UNDECIDED, 0),
        (None, "fail", 0.5, Need.UNDECIDED, 0),
        (PASS, "fail", 0.9, Need.AGAINST_LABEL, 1),
        (FAIL, "pass", None, Need.AGAINST_LABEL, 1),
        (PASS, None, None, Need.DECIDED, 2),
        (PASS, "pass", 0.75, Need.DECIDED, 2.75),
        (FAIL, "fail", 0.25, Need.DECIDED, 2.75),
        (FAIL, None, 1.0, Need.DECIDED, 2),
        (PASS, None, 1.0, Need.DECIDED, 3),
    ],
)
def test_undecided_then_against_the_label_then_the_least_sure(
    verdict: Ruling | None, label: Label | None, p_pass: float | None, need: Need, position: float
) -> None:
    row = _row(verdict, label, p_pass)
    assert need_of(row) is need
    assert queue_position(row) == position
