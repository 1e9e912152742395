"""Faults that a line states in words of its own, which no item of the rules' form says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from shenhe.config.spelling import KINDS, LABEL, SCREWS, flatten
from shenhe.stages.evidence.doubts import PARTIAL
from shenhe.stages.evidence.items import drop_uncounted
from shenhe.stages.evidence.phrases import FAULT_TRIGGER, FAULTY, FEWER, stated
from shenhe.stages.evidence.rules import ReadyFault, ReadyRules
from shenhe.stages.evidence.subjects import TURNS, concerns, states, subjects

_ALWAYS_WRONG = ("不符合", "不符要求", "不合格", "不合要求", "不满足", "不达标", "不规范", "松动")
_WRONG = {
    SCREWS: (
        *(
            "不牢",
            "不紧",
            "松脱",
            "脱落",
            "未拧紧",
            "没拧紧",
            "没有拧紧",
            "未紧固",
            "未固定",
            "裸露",
        ),
        *("锈蚀", "断裂", "破损", "未插紧", "未插好"),
    ),
    "光纤": ("无保护", "没有保护", "没保护", "未保护", "未做保护", "缺少保护", "裸露", "半径不合"),
    "电线": ("不整齐", "未捆扎", "没有捆扎", "没捆扎", "散乱", "凌乱", "杂乱"),
    "挡风板": ("装反", "反装", "方向反", "方向相反", "方向错", "方向不正确", "方向不对"),
}
"""Words for what is wrong with a thing, by its category."""
_PIECES = re.compile("[\x01}]|[×✕✖*]{1,8}[0-9]{1,9}")
_LEVELS = re.compile("[/,、\"'{\\[\\]]")
_NOT_COUNTED = re.compile(r"[\"'][^\"'{}]{0,80}[\"']:[\"']?0[\"']?(?![.0-9])")
"""A value of JSON that nothing has."""
_MAX_HEAD = 300
"""Characters of a piece in which the thing that its levels are about is looked for."""
_ALL_KINDS = frozenset(KINDS)
_BBU = "bbu设备"


def find_worded(line: str, rules: ReadyRules, stated: frozenset[int]) -> Iterator[int]:
    """Yield the faults that words of a line state, by their numbers.

    `stated` are those that its items state: what these are about is told already. A screw of no
    kind may be any screw.
    """
    text = drop_uncounted(flatten(line))
    alarms = _alarms(rules)
    if not rules.faults or not (alarms.search(text) or FAULT_TRIGGER.search(text)):
        return
    for piece in _PIECES.split(_NOT_COUNTED.sub("", text)):
        alarming = alarms.search(piece) or FAULT_TRIGGER.search(piece)
        if alarming and not piece.startswith(LABEL):  # its text may read like anything
            yield from _weigh(piece, rules, stated)


def _weigh(piece: str, rules: ReadyRules, stated: frozenset[int]) -> Iterator[int]:
    before = ""
    for level in _LEVELS.split(piece):
        before = f"{before}/{level}"[:_MAX_HEAD]
        for clause in TURNS.split(level):
            alarming = _alarms(rules).search(clause) or FAULT_TRIGGER.search(clause)
            if not alarming or PARTIAL.search(clause):
                continue
            found = _of_clause(clause, before, rules)
            if found and stated.isdisjoint(found):
                yield found[0]


def _of_clause(clause: str, before: str, rules: ReadyRules) -> list[int]:
    """List the faults of what a clause is about, if it says that something is wrong with it."""
    own: list[int] = []
    general: list[int] = []
    faulty, fewer = bool(stated(clause, FAULTY)), bool(stated(clause, FEWER))
    for number, fault in enumerate(rules.faults):
        categories = _categories(fault)
        # Of a BBU a line may say much that no rule asks for; what is too few are screws.
        worded = (faulty and _BBU not in categories) or (fewer and SCREWS in categories)
        exact = any(states(clause, word) for word in fault.words)
        if exact or worded or any(states(clause, word) for word in _words(fault)):
            names = _names(clause, rules) or _names(before, rules)
            if not names and exact:  # 其中一颗未拧紧 is about what stands beside it
                own.append(number)
            elif any(concerns(part, names) for pattern in fault.item for part in pattern.parts):
                (own if exact else general).append(number)
    return own + general


@lru_cache(maxsize=256)
def _categories(fault: ReadyFault) -> frozenset[str]:
    return frozenset().union(*(p.categories for pattern in fault.item for p in pattern.parts))


def _names(text: str, rules: ReadyRules) -> frozenset[str]:
    names = subjects(text, rules.own)
    return names | _ALL_KINDS if SCREWS in names and names.isdisjoint(_ALL_KINDS) else names


@lru_cache(maxsize=256)
def _words(fault: ReadyFault) -> tuple[str, ...]:
    categories = _categories(fault)
    return (*_ALWAYS_WRONG, *(word for name in categories for word in _WRONG.get(name, ())))


@lru_cache(maxsize=64)
def _alarms(rules: ReadyRules) -> re.Pattern[str]:
    words = {word for fault in rules.faults for word in (*fault.words, *_words(fault))}
    return re.compile("|".join(map(re.escape, sorted(words))) or "(?!)")
