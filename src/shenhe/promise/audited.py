"""What people found of audited groups, counted by run, mission, week and what decided them.

A group is bad if people fail it. What the machine passed is looked at by a blind audit, a random
part of it; what it did not pass is left to people, who decide it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
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
    them are bad, and of `doubts` people cannot tell, or they passed them over. `stopped` are bad
    groups that did not pass. `unconfirmed` are groups that the machine failed and nobody has looked
    at, `left` those that are left to people and were not decided. `usual_share` is the probability
    with which a group would have been looked at where none passed. `false_odds` and `held_odds` are
    log-odds of bad groups that passed and that a threshold holds back; doubtful ones and, of the
    latter, those that nobody has looked at are among them. `lowest` is the lowest of a passed
    group. `since` is the time of the first verdict.
    """

    stratum: Stratum
    passed: int = 0
    looked: int = 0
    false: int = 0
    doubts: int = 0
    stopped: int = 0
    unconfirmed: int = 0
    left: int = 0
    usual_share: float = 1.0
    since: float = math.inf
    lowest: float = math.inf
    false_odds: list[float] = field(default_factory=list)
    held_odds: list[float] = field(default_factory=list)
    held_confirmed: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The probability with which a passed group was looked at.

        The looks are the first of a random order, so that, whatever their number, they are a simple
        random sample of the passed groups. Where nothing passed it is what it would have been: bad
        groups that stopped must not weigh more because no other one passed.
        """
        return self.looked / self.passed if self.passed else self.usual_share


def count_looks(
    groups: Iterable[JudgedGroup], planned: Mapping[int, float] = MappingProxyType({})
) -> list[Looks]:
    """Count groups by stratum, in the order of weeks, and within a week of their first verdicts.

    `planned` are the shares of the audits of runs; 1 where it is not said.

    >>> week = Stratum("挡风板安装检查", "2026-W48")
    >>> (looks,) = count_looks(
    ...     [
    ...         JudgedGroup(week, "passed", "bad", 2.0, 0.1),
    ...         JudgedGroup(week, "passed", "", 2.0, 0.2),
    ...         JudgedGroup(week, "passed", "good", 2.0, 0.3),
    ...     ]
    ... )
    >>> looks.passed, looks.looked, looks.false
    (3, 3, 1)
    """
    counters: dict[Stratum, _Counter] = {}
    for group in groups:
        counter = counters.get(group.stratum)
        if counter is None:
            counter = counters[group.stratum] = _Counter(Looks(group.stratum))
        counter.add(group)
    counted = [counter.finish() for counter in counters.values()]
    _set_usual_shares(counted, planned)
    return sorted(counted, key=lambda looks: (looks.stratum.week, looks.since))


def _set_usual_shares(counted: Iterable[Looks], planned: Mapping[int, float]) -> None:
    """Where nothing passed, people would have looked as much as elsewhere, at most as planned."""
    passed: Counter[tuple[str, Maker]] = Counter()
    looked: Counter[tuple[str, Maker]] = Counter()
    for looks in counted:
        made = (looks.stratum.mission, looks.stratum.maker)
        passed[made] += looks.passed
        looked[made] += looks.looked
    for looks in counted:
        made = (looks.stratum.mission, looks.stratum.maker)
        elsewhere = looked[made] / passed[made] if passed[made] else 1.0
        looks.usual_share = min(planned.get(looks.stratum.run, 1.0), elsewhere)


class _Counter:
    """Counts a stratum.

    People look in the order of the numbers, so that half a week's looks are a smaller, but a
    random, sample. A group before the last one decided blind that is open all the same was passed
    over, or decided by somebody who saw the verdict: perhaps because it is bad, so that it is a
    doubt. Were it left out, no bad group might ever be found.
    """

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._numbered: list[tuple[float, Truth, float]] = []

    def add(self, group: JudgedGroup) -> None:
        """Count a group."""
        looks = self._looks
        looks.since = min(looks.since, group.at)
        if group.course == "passed":
            looks.passed += 1
            looks.lowest = min(looks.lowest, group.log_odds)
            if group.number != NO_NUMBER:
                self._numbered.append((group.number, group.truth, group.log_odds))
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
        last = max((number for number, truth, _ in self._numbered if truth), default=-math.inf)
        for number, truth, log_odds in self._numbered:
            if number <= last:
                looks.looked += 1
                looks.false += truth == "bad"
                looks.doubts += truth in ("doubt", "")
                if truth != "good":
                    looks.false_odds.append(log_odds)
        return looks
