"""What one line shows of the rules of a mission, kept for lines and items that come again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from shenhe.config.evidence import Part, Pattern
from shenhe.stages.evidence.doubts import weigh_remarks
from shenhe.stages.evidence.items import Item, Line
from shenhe.stages.evidence.phrases import ABSENT
from shenhe.stages.evidence.reading import may_be_json, read_line
from shenhe.stages.evidence.rules import ReadyNeed, ReadyRules
from shenhe.stages.evidence.subjects import states
from shenhe.stages.evidence.wording import find_worded

MAX_REMEMBERED = 8192
"""Lines, and items, that are remembered with what they show."""
_COUNTED = re.compile(r"×0*[1-9][0-9]*$")
_LABEL_TEXT = re.compile(r"(?<![^，])标签/(?!无法识别|备注|需复核)[\w-]+(?=×0*[1-9][0-9]*(?:，|$))")
_NOTHING: frozenset[int] = frozenset()


class Mark(NamedTuple):
    """A part of a pattern of a rule, by their numbers, and the group (组N) in which it stands."""

    rule: int
    pattern: int
    part: int
    group: str


class Showing(NamedTuple):
    """What a line shows of needs and faults.

    `when` and `unless` are the rules for which one of those patterns is seen. `remarked` are
    faults that a remark states; `lacking` and `unseen` are needs that a remark says to be missing,
    or not to be seen here.
    """

    right: frozenset[Mark] = frozenset()
    doubtful: frozenset[Mark] = frozenset()
    faults: frozenset[Mark] = frozenset()
    when: frozenset[int] = _NOTHING
    unless: frozenset[int] = _NOTHING
    remarked: frozenset[int] = _NOTHING
    lacking: frozenset[int] = _NOTHING
    unseen: frozenset[int] = _NOTHING
    distances: frozenset[str] = frozenset()


def look_at(line: str, rules: ReadyRules) -> Showing:
    """Hold a line against rules.

    Lines are nearly all distinct by the texts of their labels, which no rule asks for.
    """
    return _remember_line(_LABEL_TEXT.sub("标签/A", line), rules)


@lru_cache(maxsize=MAX_REMEMBERED)
def _remember_line(line: str, rules: ReadyRules) -> Showing:
    showings = []
    for item in [] if may_be_json(line) else line.split("，"):
        count = _COUNTED.search(item)
        showing = _look_at_item(item[: count.start()], rules) if count else None
        if showing is None:
            return _look(line, read_line(line, rules.own), rules)
        showings.append(showing)
    if not showings:
        return _look(line, read_line(line, rules.own), rules)
    return Showing(*(frozenset().union(*sets) for sets in zip(*showings, strict=True)))


@lru_cache(maxsize=MAX_REMEMBERED)
def _look_at_item(item: str, rules: ReadyRules) -> Showing | None:
    """Hold a counted item against rules; None if it has a remark, which may be about others."""
    line = read_line(f"{item}×1", rules.own)
    if line.remarks or any(item.reasons for item in line.items):
        return None
    return _look(item, line, rules)


def _look(text: str, line: Line, rules: ReadyRules) -> Showing:
    remarks = weigh_remarks(line, rules)
    right: set[Mark] = set()
    doubtful: set[Mark] = set()
    undoubted = []
    for item in line.items:
        doubts = [doubt.reason for doubt in remarks.doubts if doubt.concerns(item)]
        if not doubts:
            undoubted.append(item)
        for number, need in enumerate(rules.needs):
            (doubtful if _is_doubted(need, doubts) else right).update(
                _marks(number, need.item, item, rules)
            )
    faults = frozenset(
        mark
        for item in line.items
        for number, fault in enumerate(rules.faults)
        for mark in _marks(number, fault.item, item, rules, fault=True)
    )
    stated = frozenset(remarks.faults).union(mark.rule for mark in faults)
    return Showing(
        frozenset(right),
        frozenset(doubtful),
        faults,
        _shown([need.when for need in rules.needs], line.items),
        _shown([fault.unless for fault in rules.faults], undoubted),
        frozenset(remarks.faults).union(find_worded(text, rules, stated)),
        frozenset(remarks.lacking),
        frozenset(remarks.unseen),
        line.distances if rules.by_distance else frozenset(),
    )


def _is_doubted(need: ReadyNeed, reasons: Sequence[str]) -> bool:
    return any(
        not need.doubt or reason in ABSENT or any(word in reason for word in need.doubt)
        for reason in reasons
    )


def _marks(
    number: int, patterns: Sequence[Pattern], item: Item, rules: ReadyRules, fault: bool = False
) -> Iterator[Mark]:
    matches = is_stated if fault else is_shown
    for index, pattern in enumerate(patterns):
        for part_index, part in enumerate(pattern.parts):
            if matches(part, item):
                yield Mark(number, index, part_index, item.group if rules.by_group else "")


def _shown(rules: Sequence[Sequence[Pattern]], items: Sequence[Item]) -> frozenset[int]:
    return frozenset(
        number
        for number, patterns in enumerate(rules)
        if any(
            all(any(is_shown(part, item) for item in items) for part in pattern.parts)
            for pattern in patterns
        )
    )


def is_shown(part: Part, item: Item) -> bool:
    """Whether an item has the category, and each attribute whole."""
    return not part.categories.isdisjoint(item.categories) and all(
        not level.isdisjoint(item.attributes) for level in part.levels
    )


def is_stated(part: Part, item: Item) -> bool:
    """Whether an item states a fault: also by an attribute that ends with the word for it."""
    return not part.categories.isdisjoint(item.categories) and all(
        not level.isdisjoint(item.attributes)
        or not level.isdisjoint(item.possible)
        or any(_ends_with(attribute, level) for attribute in (*item.attributes, *item.details))
        for level in part.levels
    )


def _ends_with(attribute: str, words: Iterable[str]) -> bool:
    return any(attribute.endswith(word) and states(attribute, word) for word in words)
