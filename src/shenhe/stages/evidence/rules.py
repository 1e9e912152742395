"""The rules of a mission, made ready to be held against lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from shenhe.config.evidence import EvidenceRules, Part, Pattern, read_pattern
from shenhe.config.spelling import flatten
from shenhe.stages.evidence.subjects import kinds_of


@dataclass(frozen=True, slots=True)
class ReadyNeed:
    """A need: any pattern of `item` does, if one of `when` is seen or there are none."""

    title: str
    item: tuple[Pattern, ...]
    when: tuple[Pattern, ...]
    doubt: tuple[str, ...]
    faults: tuple[int, ...]
    """Indexes of the faults of the same thing."""


@dataclass(frozen=True, slots=True)
class ReadyFault:
    """A fault: `words` state it in a remark or a reason."""

    title: str
    item: tuple[Pattern, ...]
    unless: tuple[Pattern, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReadyRules:
    """Rules; `own` are the categories that they name."""

    needs: tuple[ReadyNeed, ...]
    faults: tuple[ReadyFault, ...]
    by_distance: bool
    by_group: bool
    ignore: tuple[str, ...]
    own: frozenset[str]

    def parts(self) -> Iterator[Part]:
        """Yield each item that the rules name in a need or a fault."""
        for item in _items_of(self.needs, self.faults):
            for pattern in item:
                yield from pattern.parts


@lru_cache(maxsize=64)
def make_ready(rules: EvidenceRules) -> ReadyRules:
    """Read the patterns of rules once."""
    faults = tuple(
        ReadyFault(
            fault.title,
            (item := _read(fault.item)),
            _read(fault.unless),
            tuple(sorted({*_last(item), *_flat(fault.words)}, key=lambda w: (-len(w), w))),
        )
        for fault in rules.faults
    )
    needs = tuple(
        ReadyNeed(
            need.title,
            (item := _read(need.item)),
            _read(need.when),
            _flat(need.doubt),
            tuple(index for index, fault in enumerate(faults) if _same_thing(item, fault.item)),
        )
        for need in rules.needs
    )
    own = frozenset(
        category
        for item in _items_of(needs, faults)
        for pattern in item
        for part in pattern.parts
        for category in part.categories
    )
    joined = rules.joined_by
    return ReadyRules(needs, faults, "站点距离" in joined, "组" in joined, _flat(rules.ignore), own)


def _items_of(
    needs: Iterable[ReadyNeed], faults: Iterable[ReadyFault]
) -> Iterator[tuple[Pattern, ...]]:
    yield from (need.item for need in needs)
    yield from (fault.item for fault in faults)


def _last(patterns: tuple[Pattern, ...]) -> Iterator[str]:
    """Yield the words of the last levels: what is wrong."""
    for pattern in patterns:
        for part in pattern.parts:
            yield from part.levels[-1] if part.levels else ()


def _read(patterns: tuple[str, ...]) -> tuple[Pattern, ...]:
    return tuple(map(read_pattern, patterns))


def _flat(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, map(flatten, words)))


def _same_thing(need: tuple[Pattern, ...], fault: tuple[Pattern, ...]) -> bool:
    """Whether a fault is one of the thing that is needed: of its category, and of its kind."""
    pairs = (
        (one, two)
        for pattern in need
        for one in pattern.parts
        for other_pattern in fault
        for two in other_pattern.parts
    )
    return any(
        one.categories & two.categories
        and (not (kinds := kinds_of(one)) or bool(kinds & (kinds_of(two) or kinds)))
        for one, two in pairs
    )
