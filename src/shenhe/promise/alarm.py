"""The alarm: a detector of Shiryaev-Roberts kind, with a proven rate of false alarms.

Each week a bettor more begins with a wealth of 1, and all bet against the promise. While it is
kept, they have together at most as much as they began with, on average: after a year, 52. That they
ever have 52 / 0.05 within a year has then a chance of at most 0.05.
Source: J. Shin, A. Ramdas and A. Rinaldo, 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final, Literal, NamedTuple

import numpy as np

from shenhe.promise.audited import Looks
from shenhe.promise.bound import fair_gains, lenient_counts

State = Literal["normal", "tightened", "stopped"]
WEEKS: Final = 52
FALSE_ALARMS: Final = 0.05
"""False alarms a year that are allowed while a promise is just kept."""
GAINS: Final = np.array([1.0, 3.0])
"""What a false pass that is found wins: the best ones if twice or four times as many as promised
pass. Further ones find those no sooner."""
WARNING: Final = 1 / 8
"""The part of the alarm's level from which on twice as many groups are looked at."""
QUIET_WEEKS: Final = 5
"""Weeks in a row below the warning after which inspection is normal again, as in ISO 2859-1."""
LARGEST: Final = 700.0
"""The largest logarithm of which the exponential is finite."""


class WeekState(NamedTuple):
    """The state after a week. `level` is that of the detector, as a part of the alarm's level."""

    week: str
    level: float
    state: State


def watch_weeks(looks: Sequence[Looks], limit: float, detectors: float = 1.0) -> list[WeekState]:
    """Give the state after each week, in the order of weeks.

    `limit` is the promised share. Where several detectors run, each is `detectors` times as
    cautious, so that all of them together keep to the rate of false alarms. After an alarm
    everything stays stopped until groups come that another promise decided; then all begins anew.

    >>> watch_weeks([], 0.05)
    []
    """
    states: list[WeekState] = []
    promises: set[str] = {""}  # without a promise there is no new one
    detector = _Detector(limit, detectors)
    for week, entries in groupby(looks, key=lambda each: each.stratum.week):
        strata = list(entries)
        if detector.state == "stopped":
            strata = [each for each in strata if each.stratum.maker.promise not in promises]
            if strata:
                detector = _Detector(limit, detectors)
        promises |= {each.stratum.maker.promise for each in strata}
        detector.bet(strata)
        states.append(WeekState(week, detector.level, detector.state))
    return states


class _Detector:
    """The wealth of all bettors, one entry a stake, and what follows from it."""

    def __init__(self, limit: float, detectors: float) -> None:
        self.state: State = "normal"
        self._limit = np.array([limit])
        self._gains = fair_gains(GAINS, limit)
        self._log_alarm = np.log(detectors * WEEKS / FALSE_ALARMS)
        self._log_wealth = np.full(len(GAINS), -np.inf)
        self._quiet_weeks = 0

    @property
    def level(self) -> float:
        """The mean wealth, as a part of what is an alarm."""
        log_mean = np.logaddexp.reduce(self._log_wealth) - np.log(len(GAINS))
        return float(np.exp(min(log_mean - self._log_alarm, LARGEST)))

    def bet(self, looks: list[Looks]) -> None:
        """Bet on a week; one without a look changes nothing."""
        if not any(each.share for each in looks):
            return
        gain = lenient_counts(looks).log_wealth(self._limit, self._gains)[0].sum(axis=0)
        self._log_wealth = np.logaddexp(self._log_wealth, 0.0) + gain
        if self.level >= 1:
            self.state = "stopped"
        elif self.level >= WARNING:
            self.state, self._quiet_weeks = "tightened", 0
        elif self.state == "tightened":
            self._quiet_weeks += 1
            if self._quiet_weeks >= QUIET_WEEKS:
                self.state = "normal"
