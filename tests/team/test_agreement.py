"""Agreement between people against the values of statsmodels and scikit-learn; work by day."""

from __future__ import annotations

from datetime import UTC

import pytest

from shenhe.team.agreement import (
    Kappa,
    Pair,
    agree,
    agree_by_mission,
    agree_by_people,
    cohens_kappa,
)
from shenhe.team.work import Act, read_zone, work_by_day


@pytest.mark.parametrize(
    ("table", "kappa", "low", "high"),
    [  # statsmodels.stats.inter_rater.cohens_kappa: kappa, kappa_low, kappa_upp
        ([[20, 5], [10, 15]], 0.4, 0.151092290476661, 0.6489077095233389),
        ([[45, 15], [25, 15]], 0.13043478260869554, -0.06293827779258965, 0.3238078430099807),
        ([[90, 3], [4, 3]], 0.4243421052631585, 0.07319362237318183, 0.7754905881531352),
        ([[7, 2], [1, 0]], -0.15384615384615447, -0.37389172744540367, 0.06619941975309473),
        # The lower end is -1.36 there.
        ([[0, 4], [3, 0]], -0.96, -1.0, -0.5576205873293156),
    ],
)
def test_kappa_is_that_of_statsmodels(
    table: list[list[int]], kappa: float, low: float, high: float
) -> None:
    result = cohens_kappa(table)
    assert result.value == pytest.approx(kappa)
    assert result.interval == pytest.approx((low, high), abs=1e-6)


def test_kappa_that_cannot_be_told() -> None:
    # scikit-learn's cohen_kappa_score is NaN where all verdicts are one.
    assert cohens_kappa([[5, 0], [0, 0]]) == Kappa(None, None)
    assert cohens_kappa([[0, 0], [0, 0]]) == Kappa(None, None)
    assert cohens_kappa([[10, 0], [0, 5]]) == Kappa(1.0, None)
    assert agree([]).share.total == 0


def test_deferred_is_no_verdict() -> None:
    pairs = [Pair("m", "李工", "王工", *choices) for choices in (("通过", "通过"),) * 3]
    pairs += [
        Pair("m", "王工", "李工", "不通过", "通过"),
        Pair("n", "李工", "张工", "不通过", "待定"),
        Pair("n", "李工", "王工", "不通过", "不通过"),
    ]
    whole = agree(pairs)
    assert (whole.share.count, whole.share.total, whole.deferred) == (4, 5, 1)
    assert whole.table["不通过", "待定"] == 1
    assert list(agree_by_mission(pairs)) == ["m", "n"]
    people = agree_by_people(pairs)
    assert list(people) == [("张工", "李工"), ("李工", "王工")]
    # Whoever came first: the choices are by name.
    assert people["李工", "王工"].table == {
        ("通过", "通过"): 3,
        ("通过", "不通过"): 1,
        ("不通过", "不通过"): 1,
    }
    assert people["张工", "李工"].kappa == Kappa(None, None)


def test_work_is_counted_by_the_days_of_a_zone() -> None:
    acts = [
        Act("李工", f"2026-11-25T{time}.000000Z", kind, overrules, undone)
        for time, kind, overrules, undone in (
            ("15:59:00", "decision", False, False),
            ("15:59:20", "decision", True, False),
            ("16:00:00", "decision", True, True),
            ("16:00:10", "audit", True, False),
            ("16:00:40", "second", False, False),
            ("18:00:00", "decision", False, False),
        )
    ]
    east = read_zone("+08:00")
    assert east is not None
    later, earlier = work_by_day(acts, east)
    assert earlier == ("2026-11-25", "李工", 2, 1, 0, 0, 0, 20.0)
    assert later == ("2026-11-26", "李工", 1, 0, 1, 1, 1, 20.0)
    (day,) = work_by_day([*acts, Act("王工", acts[0].at, "decision")], UTC)[:1]
    assert day[:3] == ("2026-11-25", "李工", 3)
    assert work_by_day([], east) == []
    for text in ("", "08:00", "+8", "+99:00", "+08:60", "Asia/Shanghai"):
        assert read_zone(text) is None
