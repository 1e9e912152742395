"""What the remarks of a line mean for the rules of a mission: nothing, a doubt, or a fault."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shenhe.stages.evidence.items import Item, Line
from shenhe.stages.evidence.rules import ReadyFault, ReadyNeed, ReadyRules
from shenhe.stages.evidence.subjects import TURNS, concerns, is_named, kinds_of, states, subjects

_AND = re.compile("[、和与及/]|以及|\x02")
_CAUSE = re.compile(
    "遮挡|挡住|模糊|只拍|仅拍|拍摄|部分|局部|角度|反光|光线|太暗|过暗|距离|画面|画质|不清晰"
)
"""Why something cannot be told: a reason that belongs to the one beside it."""
PARTIAL = re.compile(
    "(?:部分|局部|一段|一小段|一截).*(?:保护|裸露)|(?:保护|裸露).*(?:部分|局部|一段|一小段|一截)"
)
"""Protection of a part: a doubt, not a bare fibre."""
_LACKING = re.compile("缺少|缺失|缺了|缺|少一[颗个]|少了")
_UNSEEN = re.compile("未见|没有|没看到|未看到|看不到|未拍到|没拍到|不可见|未显示")


class Doubt(NamedTuple):
    """A reason that makes something doubtful: what it names, else the item that it is behind."""

    reason: str
    names: frozenset[str]
    item: Item | None

    def concerns(self, item: Item) -> bool:
        """Whether an item of the same line is doubtful."""
        if self.names:
            return is_named(item.categories, item.attributes, self.names)
        return self.item is None or self.item is item


MAX_DOUBTS = 200
"""Doubts of a line that are told apart."""
_EVERYTHING = Doubt("", frozenset(), None)


@dataclass(slots=True)
class Remarks:
    """What all remarks of a line mean: doubts, indexes of faults, and of needs that are lacking.

    A need that is `unseen` may stand on another photo.
    """

    doubts: list[Doubt] = field(default_factory=list)
    faults: set[int] = field(default_factory=set)
    lacking: set[int] = field(default_factory=set)
    unseen: set[int] = field(default_factory=set)

    def add_doubt(self, doubt: Doubt) -> None:
        """Add a doubt; where there are too many, everything is doubtful."""
        if len(self.doubts) < MAX_DOUBTS:
            self.doubts.append(doubt)
        elif self.doubts[-1] != _EVERYTHING:
            self.doubts.append(_EVERYTHING)


def weigh_remarks(line: Line, rules: ReadyRules) -> Remarks:
    """Decide what each reason of each remark means."""
    remarks = Remarks()
    for item in line.items:
        for reason in item.reasons:
            _weigh(reason, item, line, rules, remarks)
        _drop_causes(item.reasons, rules, remarks)
    for reason in line.remarks:
        _weigh(reason, None, line, rules, remarks)
    _drop_causes(line.remarks, rules, remarks)
    return remarks


def _drop_causes(reasons: Sequence[str], rules: ReadyRules, remarks: Remarks) -> None:
    """Drop doubts that only say why something else, which is ignored, cannot be told."""
    if any(is_ignored(reason, rules) for reason in reasons):
        remarks.doubts = [
            doubt
            for doubt in remarks.doubts
            if doubt.names or doubt.reason not in reasons or not _CAUSE.search(doubt.reason)
        ]


def is_ignored(reason: str, rules: ReadyRules) -> bool:
    """Whether all of a reason is about what does not concern the mission."""
    pieces = [piece for piece in _AND.split(reason) if piece]
    return bool(pieces) and all(any(word in piece for word in rules.ignore) for piece in pieces)


def _weigh(reason: str, item: Item | None, line: Line, rules: ReadyRules, remarks: Remarks) -> None:
    for clause in TURNS.split(reason):
        names = _names(clause, item, rules)
        partial = PARTIAL.search(clause) is not None
        faults = [
            index
            for index, fault in enumerate(rules.faults)
            if not partial
            and any(states(clause, word) for word in fault.words)
            and _is_of(fault, names, item, line)
        ]
        remarks.faults.update(faults)
        if faults:
            continue
        ignored = is_ignored(clause, rules)
        of_brand = ignored and names <= {"bbu设备"}  # 未见BBU品牌 does not say that there is no BBU
        if not (partial or of_brand) and _note_missing(clause, names, rules, remarks):
            continue
        if ignored or (reason and not clause) or _is_foreign(names, item, rules):
            continue
        remarks.add_doubt(Doubt(clause, names, item))


def _names(clause: str, item: Item | None, rules: ReadyRules) -> frozenset[str]:
    """Find what a reason names; a broad word means the item that it stands behind."""
    names = subjects(clause, rules.own)
    if item is not None and len(names) > 1:
        own = names & (item.attributes | frozenset(item.categories))
        return own or names
    return names


def _is_of(fault: ReadyFault, names: frozenset[str], item: Item | None, line: Line) -> bool:
    parts = [part for pattern in fault.item for part in pattern.parts]
    if names:
        return any(concerns(part, names) for part in parts)
    items: Iterable[Item] = line.items if item is None else (item,)
    return (item is None and not line.items) or any(
        part.categories.intersection(own.categories)
        and (not (kinds := kinds_of(part)) or bool(kinds & own.attributes) or not _kinds(own))
        for part in parts
        for own in items
    )


def _kinds(item: Item) -> bool:
    return any(attribute.endswith(("螺丝", "光纤插头")) for attribute in item.attributes)


def _note_missing(clause: str, names: frozenset[str], rules: ReadyRules, remarks: Remarks) -> bool:
    lacking = any(states(clause, word) for word in _LACKING.findall(clause))
    unseen = any(states(clause, word) for word in _UNSEEN.findall(clause))
    if not (names and (lacking or unseen)):
        return False
    needs = {index for index, need in enumerate(rules.needs) if _needs_all(need, names)}
    (remarks.lacking if lacking else remarks.unseen).update(needs)
    return bool(needs)


def _needs_all(need: ReadyNeed, names: frozenset[str]) -> bool:
    """Whether no pattern of a need does without what is named."""
    return all(any(concerns(part, names) for part in pattern.parts) for pattern in need.item)


def _is_foreign(names: frozenset[str], item: Item | None, rules: ReadyRules) -> bool:
    """Whether a remark is about nothing that the rules name."""
    about = names or frozenset(item.categories if item is not None else ())
    if not about:
        return False
    if not names and item is not None and item.attributes:
        parts = [part for part in rules.parts() if part.categories & about]
        kinds = [kinds for part in parts if (kinds := kinds_of(part))]
        if _kinds(item) and len(kinds) == len(parts):
            return not any(kind & item.attributes for kind in kinds)
    return not any(concerns(part, about) or part.categories & about for part in rules.parts())
