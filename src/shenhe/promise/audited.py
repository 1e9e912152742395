"""What people found of audited groups, counted by run, mission, week and what decided them.

A group is bad if people fail it. What the machine passed is looked at by a blind audit, a random
part of it; what it did not pass is left to people, who decide it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

Course = Literal["passed", "held", "failed", "undecided"]
"""What became of a group: `held` is a 通过 that a threshold alone holds back."""
Truth = Literal["good", "bad", "doubt", ""]
"""What people say of a group: `doubt` is 待定, and empty where nobody has looked."""
NO_NUMBER: Final = math.inf
"""The number of a passed group whose run has no plan of an audit: it is never looked at."""


class Maker(NamedTuple):
    """What decided groups, by their hashes; `promise` is empty without one.

    `rules` are those of the evidence.
    """

    promise: str = ""
    checkpoint: str = ""
    prompt: str = ""
    rules: str = ""

    @property
    def model(self) -> Maker:
        """What says 通过 or 不通过, whatever threshold a promise sets."""
        return self._replace(promise="")


class Stratum(NamedTuple):
    """Groups that are counted together. `week` is that of their verdicts, as 2026-W48."""

    mission: str
    week: str
    maker: Maker = Maker()
    run: int = 0


class JudgedGroup(NamedTuple):
    """A group as the machine and people left it.

    `number` is that of its run's audit: those that the machine passed are looked at in this order.
    `at` is the time of the verdict. Units: seconds since 1970; natural log-odds.
    """

    stratum: Stratum
    course: Course
    truth: Truth
    log_odds: float
    number: float = NO_NUMBER
    at: float = 0.0


@dataclass(slots=True)
class Looks:
    """What a stratum shows.

    Of `passed` groups the first `looked` in the order of their numbers were looked at: `false` of
    them are bad, and of `doubts` people cannot tell. `stopped` are bad groups that did not pass.
    `unconfirmed` are groups that the machine failed and nobody has looked at, `left` those that are
    left to people and were not decided. `false_odds` and `held_odds` are log-odds of bad groups
    that passed and that a threshold holds back; doubtful ones and, of the latter, those that nobody
    has looked at are among them. `lowest` is the lowest of a passed group. `since` is the time of
    the first verdict.
    """

    stratum: Stratum
    passed: int = 0
    looked: int = 0
    false: int = 0
    doubts: int = 0
    stopped: int = 0
    unconfirmed: int = 0
    left: int = 0
    since: float = math.inf
    lowest: float = math.inf
    false_odds: list[float] = field(default_factory=list)
    held_odds: list[float] = field(default_factory=list)
    held_confirmed: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The probability with which a passed group was looked at.

        The looks are the first of a random order, so that, whatever their number, they are a simple
        random sample of the passed groups. 1 where nothing passed: then nothing is unknown.
        """
        return self.looked / self.passed if self.passed else 1.0


def count_looks(groups: Iterable[JudgedGroup]) -> list[Looks]:
    """Count groups by stratum, in the order of weeks, and within a week of their first verdicts.

    >>> week = Stratum("挡风板安装检查", "2026-W48")
    >>> (looks,) = count_looks(
    ...     [
    ...         JudgedGroup(week, "passed", "bad", 2.0, 0.1),
    ...         JudgedGroup(week, "passed", "", 2.0, 0.2),
    ...         JudgedGroup(week, "passed", "good", 2.0, 0.3),
    ...     ]
    ... )
    >>> looks.passed, looks.looked, looks.false
    (3, 1, 1)
    """
    counters: dict[Stratum, _Counter] = {}
    for group in groups:
        counter = counters.get(group.stratum)
        if counter is None:
            counter = counters[group.stratum] = _Counter(Looks(group.stratum))
        counter.add(group)
    counted = [counter.finish() for counter in counters.values()]
    return sorted(counted, key=lambda looks: (looks.stratum.week, looks.since))


class _Counter:
    """Counts a stratum.

    People look in the order of the numbers. A passed group that nobody has looked at yet must not
    count as good, and a look beyond it must not count at all: which groups are looked at first
    within a queue is then no matter, and half a week's looks are a smaller, but a random, sample.
    """

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._first_open = math.inf
        self._decided: list[tuple[float, Truth, float]] = []

    def add(self, group: JudgedGroup) -> None:
        """Count a group."""
        looks = self._looks
        looks.since = min(looks.since, group.at)
        if group.course == "passed":
            looks.passed += 1
            looks.lowest = min(looks.lowest, group.log_odds)
            if not group.truth or group.number == NO_NUMBER:
                self._first_open = min(self._first_open, group.number)
            else:
                self._decided.append((group.number, group.truth, group.log_odds))
            return
        looks.stopped += group.truth == "bad"
        # A doubt is no confirmation: the machine's own 不通过 stands, as where nobody has looked.
        is_open = group.truth in ("", "doubt")
        looks.unconfirmed += group.course == "failed" and is_open
        looks.left += group.course != "failed" and is_open
        if group.course == "held" and group.truth != "good":
            looks.held_odds.append(group.log_odds)
            if group.truth == "bad":
                looks.held_confirmed.append(group.log_odds)

    def finish(self) -> Looks:
        """Give the counts."""
        looks = self._looks
        for number, truth, log_odds in self._decided:
            if number < self._first_open:
                looks.looked += 1
                looks.false += truth == "bad"
                looks.doubts += truth == "doubt"
                if truth != "good":
                    looks.false_odds.append(log_odds)
        return looks
