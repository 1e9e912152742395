"""The alarm: rarely false, soon where false passes rise, and off when a new promise decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shenhe.promise.alarm import QUIET_WEEKS, WEEKS, watch_weeks
from shenhe.promise.audited import Looks, Stratum
from tests.promise.strata import draw_weeks


def _stopped(looks: list[Looks], limit: float = 0.05) -> list[str]:
    return [week.week for week in watch_weeks(looks, limit) if week.state == "stopped"]


def test_false_alarms_are_rare_while_the_promise_is_just_kept() -> None:
    chance = np.random.default_rng(21)
    alarms = sum(bool(_stopped(draw_weeks(chance, [0.05] * WEEKS))) for _ in range(300))
    assert alarms <= 300 * 0.05


def test_a_rise_is_found_within_weeks() -> None:
    chance, late = np.random.default_rng(22), []
    for _ in range(100):
        weeks = _stopped(draw_weeks(chance, [0.025] * 20 + [0.16] * 30))
        late.append(int(weeks[0]) - 19 if weeks else 99)
    assert float(np.median(late)) <= 5
    assert min(late) > 0


def test_groups_that_the_machine_failed_count_as_bad_until_somebody_looks() -> None:
    """What is not confirmed must not raise an alarm: it is the same with it as when confirmed."""
    weeks = draw_weeks(np.random.default_rng(23), [0.2] * 10)
    open_weeks = [replace(each, stopped=0, unconfirmed=each.stopped) for each in weeks]
    assert watch_weeks(open_weeks, 0.05) == watch_weeks(weeks, 0.05)
    assert _stopped(weeks)


def test_doubts_raise_no_alarm() -> None:
    weeks = draw_weeks(np.random.default_rng(24), [0.0] * 10)
    doubtful = [replace(each, doubts=each.looked) for each in weeks]
    assert watch_weeks(doubtful, 0.05) == watch_weeks(weeks, 0.05)


def test_weeks_without_a_look_change_nothing() -> None:
    weeks = draw_weeks(np.random.default_rng(25), [0.3] * 2)
    blind = Looks(Stratum("a", "0009"), passed=400, stopped=10_000)
    *_, before = watch_weeks(weeks, 0.05)
    *_, after = watch_weeks([*weeks, blind], 0.05)
    assert after.level == before.level


def test_stopped_until_another_promise_decides() -> None:
    chance = np.random.default_rng(26)
    bad = draw_weeks(chance, [0.4] * 6)
    after = draw_weeks(chance, [0.01] * 20, first=6)
    assert watch_weeks([*bad, *after], 0.05)[-1].state == "stopped"
    new = draw_weeks(chance, [0.01] * 20, first=6, promise="q")
    states = watch_weeks([*bad, *new], 0.05)
    assert [week.state for week in states[5:7]] == ["stopped", "normal"]
    back = draw_weeks(chance, [0.4] * 6, first=26, promise="q")
    again = draw_weeks(chance, [0.01] * 6, first=32, promise="p")
    assert watch_weeks([*bad, *new, *back, *again], 0.05)[-1].state == "stopped"


def test_without_promises_an_alarm_stays() -> None:
    chance = np.random.default_rng(27)
    bad = draw_weeks(chance, [0.4] * 6, promise="")
    assert _stopped([*bad, *draw_weeks(chance, [0.0] * 20, first=6, promise="")])[-1] == "0025"


def test_tightened_on_a_warning_and_normal_after_quiet_weeks() -> None:
    chance = np.random.default_rng(28)
    level_up = [
        Looks(Stratum("a", f"{n:04d}"), passed=400, looked=40, false=5 - n, stopped=190)
        for n in (0, 1)
    ]
    quiet = draw_weeks(chance, [0.0] * 12, first=2)
    states = [week.state for week in watch_weeks([*level_up, *quiet], 0.05)]
    assert states[1] == "tightened"
    assert "stopped" not in states
    first_normal = states.index("normal", 1)
    levels = [week.level for week in watch_weeks([*level_up, *quiet], 0.05)]
    last_warning = max(index for index, level in enumerate(levels) if level >= 1 / 8)
    assert first_normal == last_warning + QUIET_WEEKS
    assert states[first_normal:] == ["normal"] * len(states[first_normal:])


def test_further_detectors_make_each_as_much_more_careful() -> None:
    weeks = draw_weeks(np.random.default_rng(29), [0.1] * 5)
    (*_, single), (*_, of_four) = watch_weeks(weeks, 0.05), watch_weeks(weeks, 0.05, 4)
    assert np.isclose(single.level, 4 * of_four.level)


def test_any_limit_and_any_count_give_a_finite_level() -> None:
    for limit in (1e-6, 0.05, 0.9, 0.999):
        for false in (0, 1000):
            looks = Looks(Stratum("a", "w"), passed=10**6, looked=1000, false=false, stopped=10**6)
            assert np.isfinite(watch_weeks([looks] * 3, limit)[-1].level)
