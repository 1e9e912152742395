"""Which looks count: the first of a random order, and a hole in it is a doubt."""

from __future__ import annotations

import math
import random

import pytest

from shenhe.promise.audited import NO_NUMBER, JudgedGroup, Looks, Stratum, Truth, count_looks

WEEK = Stratum("挡风板安装检查", "2026-W48")


def _passed(number: float, truth: Truth, log_odds: float = 3.0) -> JudgedGroup:
    return JudgedGroup(WEEK, "passed", truth, log_odds, number)


def _count(*groups: JudgedGroup) -> Looks:
    (looks,) = count_looks(groups)
    return looks


def test_a_group_that_people_pass_over_is_a_doubt() -> None:
    """If bad groups are left open, or decided by those who see the verdict, none is ever found."""
    groups = [_passed(0.01, "good"), _passed(0.02, "bad"), _passed(0.03, ""), _passed(0.04, "bad")]
    random.Random(3).shuffle(groups)
    looks = _count(*groups, _passed(0.9, ""))
    assert (looks.passed, looks.looked, looks.false, looks.doubts) == (5, 4, 2, 1)
    assert looks.share == 4 / 5
    assert len(looks.false_odds) == 3


def test_an_audit_that_is_done_counts_whole() -> None:
    looks = _count(*(_passed(n / 100, "good" if n < 10 else "") for n in range(100)))
    assert (looks.looked, looks.share) == (10, 0.1)


def test_without_a_plan_nothing_is_looked_at() -> None:
    looks = _count(_passed(NO_NUMBER, "bad"), _passed(NO_NUMBER, "good"))
    assert (looks.passed, looks.looked, looks.false, looks.share) == (2, 0, 0, 0.0)


def test_where_nothing_passes_the_usual_share_counts() -> None:
    """Else bad groups that stop weigh more in weeks in which no bad group passes."""
    stopped = JudgedGroup(WEEK, "failed", "bad", -2.0)
    (looks,) = count_looks([stopped])
    assert (looks.share, looks.stopped) == (1.0, 1)
    (looks,) = count_looks([stopped], {0: 0.1})
    assert looks.share == 0.1
    busy = WEEK._replace(week="2026-W49", run=1)
    groups = [stopped, *(JudgedGroup(busy, "passed", "", 2.0, n / 100) for n in range(1, 20))]
    groups.append(JudgedGroup(busy, "passed", "good", 2.0, 0.001))
    assert [each.share for each in count_looks(groups, {0: 0.1, 1: 0.1})] == [0.05, 0.05]
    assert [each.share for each in count_looks(groups, {0: 0.0, 1: 0.1})] == [0.0, 0.05]


def test_a_doubt_is_looked_at_and_neither_good_nor_bad() -> None:
    looks = _count(_passed(0.1, "doubt"), _passed(0.2, "good"))
    assert (looks.looked, looks.false, looks.doubts) == (2, 0, 1)


@pytest.mark.parametrize(
    ("course", "truth", "stopped", "unconfirmed", "left"),
    [
        ("failed", "bad", 1, 0, 0),
        ("failed", "good", 0, 0, 0),
        ("failed", "", 0, 1, 0),
        ("failed", "doubt", 0, 1, 0),
        ("held", "bad", 1, 0, 0),
        ("held", "", 0, 0, 1),
        ("undecided", "doubt", 0, 0, 1),
        ("undecided", "bad", 1, 0, 0),
    ],
)
def test_groups_that_did_not_pass(
    course: str, truth: str, stopped: int, unconfirmed: int, left: int
) -> None:
    looks = _count(JudgedGroup(WEEK, course, truth, 1.0))  # type: ignore[arg-type]
    assert (looks.stopped, looks.unconfirmed, looks.left) == (stopped, unconfirmed, left)
    assert looks.passed == 0


def test_weeks_come_in_their_order() -> None:
    later, earlier = WEEK._replace(week="2026-W50"), WEEK._replace(week="2026-W09")
    counted = count_looks(JudgedGroup(week, "failed", "bad", 0.0) for week in (later, earlier))
    assert [looks.stratum.week for looks in counted] == ["2026-W09", "2026-W50"]


def test_the_share_is_right_on_average_however_far_people_got() -> None:
    """Bad groups found, each standing for 1 / share, are as many as there are."""
    chance, estimates = random.Random(5), []
    for _ in range(400):
        numbers = [chance.random() for _ in range(200)]
        done = sorted(numbers)[chance.randrange(10, 40)]
        groups = [
            _passed(number, ("bad" if index < 20 else "good") if number < done else "")
            for index, number in enumerate(numbers)
        ]
        looks = _count(*groups)
        estimates.append(looks.false / looks.share)
    assert math.isclose(sum(estimates) / len(estimates), 20, rel_tol=0.08)
