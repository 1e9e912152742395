"""Entries of JSON summaries: a category, and each attribute as a map from value to count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from shenhe.config.spelling import DISTANCE, KINDS, LABEL, SCREWS, flatten, spell_category
from shenhe.formats.lenient_json import JsonList, JsonNode, JsonObject, JsonScalar
from shenhe.stages.evidence.items import EMPTY_REMARKS, Item, Line, split_reasons

_CATEGORY, _REMARKS = "类别", "备注"
_LEVELS = re.compile("[/,、\x01]")
_DIGITS = re.compile("[0-9]{1,9}")
_NO_ATTRIBUTES = frozenset({"数量", "组", "组号", "分组"})
_SHORT = {
    **dict.fromkeys(("免装", "免安装", "无需", "不需要", "不需安装"), "无需安装"),
    **dict.fromkeys(
        ("空间充足需安装", "空间充足需要安装", "需安装", "需要安装"), "机柜空间充足需要安装"
    ),
    "完整": "显示完整",
    "部分": "只显示部分",
    "整齐": "捆扎整齐",
    "散乱": "分布散乱",
    "符合": "符合要求",
    "不符合": "不符合要求",
    "有保护": "有保护措施",
    "无保护": "无保护措施",
}
"""Values that are shorter than the attributes of lines."""
_FITTED = {
    **dict.fromkeys(("符合", "符合要求", "按要求配备", "已配备", "配备"), "按要求配备挡风板"),
    **dict.fromkeys(("不符合", "不符合要求", "未按要求配备", "未配备"), "未按要求配备挡风板"),
}
"""Values of a BBU's attributes that are about its baffle."""

_MOST = 1_000_000
"""A count that is larger stands for nothing that anybody has counted."""

Counts = dict[str, int]


def name_entry(category: str, node: JsonObject) -> JsonObject:
    """Give an object that stands under its category the category as a member."""
    named: list[tuple[str, JsonNode]] = [(_CATEGORY, JsonScalar("string", category))]
    return JsonObject(named + node.members, node.stray, node.closed)


def read_entry(node: JsonObject, own: frozenset[str] = frozenset()) -> Line | None:
    """Read an object that has a category; None if it has none."""
    members = dict(node.members)
    category = next((value for key, value in node.members if _is_category(key)), None)
    if not (isinstance(category, JsonScalar) and isinstance(category.value, str)):
        return None
    name, *levels = [word for word in _LEVELS.split(flatten(category.value)) if word] or [""]
    if name == DISTANCE:
        return Line(distances=frozenset(_all_values(members)))
    if name in KINDS:
        name, levels = SCREWS, [name, *levels]
    reasons = remarks_of(members[_REMARKS]) if _REMARKS in members else ()
    counts = [dict.fromkeys(levels, 1)] if levels else []
    for key, value in node.members:
        if key != _REMARKS and key not in _NO_ATTRIBUTES and not _is_category(key):
            counts.append(_attributes(flatten(key), value, spell_category(name)))
    items = _items(spell_category(name), counts, reasons, node.closed)
    return Line(tuple(items))


def _is_category(key: str) -> bool:
    return flatten(key) in (_CATEGORY, "category")


def remarks_of(node: JsonNode) -> tuple[str, ...]:
    """List the reasons of a remark: a text, a list of texts, or a map from text to count."""
    reasons = (reason for text in _texts(node) for reason in split_reasons(flatten(text)) if reason)
    return tuple(reason for reason in reasons if reason not in EMPTY_REMARKS)


def _items(
    category: str, counts: list[Counts], reasons: tuple[str, ...], closed: bool
) -> Iterator[Item]:
    """Yield an item for each kind of things that are counted.

    An attribute is sure if more things have it than are of other kinds. What stands in an entry
    that was cut off is only possible: its end may say otherwise.
    """
    every = frozenset(word for values in counts for word in values)
    kinds = {word: count for values in counts for word, count in values.items() if word in KINDS}
    total = sum(kinds.values())
    for kind, count in (kinds or {"": 0}).items():
        sure = frozenset(
            word
            for values in counts
            for word, number in values.items()
            if word not in KINDS and number > total - count
        )
        if not closed:
            sure = frozenset()
        attributes = sure | ({kind} if kind else frozenset())
        possible = frozenset(word for word in every if word not in KINDS)
        yield Item((category,), attributes, reasons=reasons, possible=possible)


def _attributes(key: str, node: JsonNode, category: str) -> Counts:
    """Give the attributes that a key says, each with its count."""
    attributes: Counts = {}
    for value, count in _counted(node):
        if category == LABEL:
            word = "无法识别" if value.startswith("无法识别") else "可以识别"
            attributes[word] = count
            continue
        for word in _LEVELS.split(flatten(value)):
            spellings = {word, key + word, word + key, _SHORT.get(word, word)}
            if "挡风板" in key and word in _FITTED:
                spellings = {_FITTED[word]}
            attributes |= dict.fromkeys(spellings - {""}, count)
    return attributes


def _counted(node: JsonNode) -> Iterator[tuple[str, int]]:
    if isinstance(node, JsonObject):
        for value, count in node.members:
            number = _number(count)
            if number >= 0:
                yield value, number
    else:
        yield from ((text, 1) for text in _texts(node))


def _number(count: JsonNode) -> int:
    """Read how many have an attribute: -1 for none, 0 where nobody can tell whether any has."""
    value = count.value if isinstance(count, JsonScalar) else 1
    if isinstance(value, str):
        digits = _DIGITS.search(unicodedata.normalize("NFKC", value))
        value = int(digits[0]) if digits else -1
    if value < 0:
        return 0
    return int(min(max(value, 1), _MOST)) if value else -1


def _texts(node: JsonNode) -> Iterator[str]:
    if isinstance(node, JsonScalar):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, JsonList):
        for item in node.items:
            yield from _texts(item) if not isinstance(item, JsonList) else ()
    else:
        yield from (key for key, _ in node.members)


def _all_values(members: dict[str, JsonNode]) -> Iterator[str]:
    for key, node in members.items():
        if key != _CATEGORY:
            for value, _ in _counted(node):
                yield flatten(value)
            if isinstance(node, JsonScalar) and not isinstance(node.value, str):
                yield str(node.value)
