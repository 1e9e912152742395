"""What one line shows of the rules of a mission, kept for lines that come again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from shenhe.config.evidence import EvidenceRules, Part, Pattern
from shenhe.stages.evidence.doubts import Doubt, weigh_remarks
from shenhe.stages.evidence.items import Item
from shenhe.stages.evidence.reading import read_line
from shenhe.stages.evidence.rules import make_ready
from shenhe.stages.evidence.subjects import states

MAX_REMEMBERED = 8192
"""Lines that are remembered with what they show."""

Parts = tuple[frozenset[str], ...]
"""For each part of a pattern the groups (组N) in which it stands; "" is that of no group."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What a line shows: of each need and fault, by pattern, in which groups each part stands."""

    right: tuple[tuple[Parts, ...], ...]
    doubtful: tuple[tuple[Parts, ...], ...]
    faults: tuple[tuple[Parts, ...], ...]
    when: frozenset[int]
    unless: frozenset[int]
    remarked: frozenset[int]
    """Faults that a remark states."""
    lacking: frozenset[int]
    unseen: frozenset[int]
    """Needs that a remark says to be missing, or not to be seen here."""
    distances: frozenset[str]


@lru_cache(maxsize=MAX_REMEMBERED)
def look_at(line: str, rules: EvidenceRules) -> Showing:
    """Hold a line against rules."""
    ready = make_ready(rules)
    read = read_line(line, ready.own)
    remarks = weigh_remarks(read, ready)
    doubts: dict[int, list[Doubt]] = {
        index: [doubt for doubt in remarks.doubts if doubt.concerns(item)]
        for index, item in enumerate(read.items)
    }
    right, doubtful = [], []
    for need in ready.needs:
        sure: list[Item] = []
        unsure: list[Item] = []
        for index, item in enumerate(read.items):
            dubious = any(
                not need.doubt or any(word in doubt.reason for word in need.doubt)
                for doubt in doubts[index]
            )
            (unsure if dubious else sure).append(item)
        right.append(tuple(_groups(pattern, sure) for pattern in need.item))
        doubtful.append(tuple(_groups(pattern, unsure) for pattern in need.item))
    undoubted = [item for index, item in enumerate(read.items) if not doubts[index]]
    return Showing(
        tuple(right),
        tuple(doubtful),
        tuple(
            tuple(_groups(pattern, read.items, fault=True) for pattern in fault.item)
            for fault in ready.faults
        ),
        _shown((need.when for need in ready.needs), read.items),
        _shown((fault.unless for fault in ready.faults), undoubted),
        frozenset(remarks.faults),
        frozenset(remarks.lacking),
        frozenset(remarks.unseen),
        read.distances if ready.by_distance else frozenset(),
    )


def _groups(pattern: Pattern, items: Iterable[Item], fault: bool = False) -> Parts:
    matches = is_stated if fault else is_shown
    return tuple(
        frozenset(item.group for item in items if matches(part, item)) for part in pattern.parts
    )


def _shown(rules: Iterable[tuple[Pattern, ...]], items: Iterable[Item]) -> frozenset[int]:
    return frozenset(
        index
        for index, patterns in enumerate(rules)
        if any(all(_groups(pattern, items)) for pattern in patterns)
    )


def is_shown(part: Part, item: Item) -> bool:
    """Whether an item has the category, and each attribute whole."""
    return not part.categories.isdisjoint(item.categories) and all(
        not level.isdisjoint(item.attributes) for level in part.levels
    )


def is_stated(part: Part, item: Item) -> bool:
    """Whether an item states a fault: also by an attribute that ends with the word for it."""
    if part.categories.isdisjoint(item.categories):
        return False
    return all(
        not level.isdisjoint(item.attributes)
        or not level.isdisjoint(item.possible)
        or any(_ends_with(attribute, level) for attribute in (*item.attributes, *item.details))
        for level in part.levels
    )


def _ends_with(attribute: str, words: Iterable[str]) -> bool:
    return any(attribute.endswith(word) and states(attribute, word) for word in words)
