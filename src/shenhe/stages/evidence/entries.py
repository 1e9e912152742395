"""Entries of JSON summaries: a category, and each attribute as a map from value to count."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from shenhe.config.spelling import DISTANCE, KINDS, LABEL, SCREWS, flatten, spell_category
from shenhe.formats.lenient_json import JsonList, JsonNode, JsonObject, JsonScalar
from shenhe.stages.evidence.items import Item, Line, split_reasons
from shenhe.stages.evidence.phrases import DOUBT, EMPTY_REMARKS

_CATEGORY = "类别"
_REMARKS = frozenset(
    (
        "备注",
        "需复核",
        "需复核备注",
        "复核备注",
        "复核",
        "待复核",
        "说明",
        "remark",
        "remarks",
        "note",
        "notes",
    )
)
_LEVELS = re.compile("[/,、\x01]")
_DIGITS = re.compile("[0-9]{1,9}")
_COUNTED = re.compile("[x×]?[0-9]{1,9}[^0-9?]?")
_IN_WORDS = re.compile("([一二两三四五六七八九十])[个颗处根块条套只枚张]?")
_WORDS = dict(zip("一二两三四五六七八九十", (1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10), strict=True))
_NONE_IN_WORDS = re.compile(
    "(?:|[x×/-]|[零〇无否]|没有|未见|未发现|不存在|不是|none|null|no|false)[个颗处根块条套只枚张]?"
)
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

_NUMBER = "数量"
_NONE, _UNKNOWN = -1, 0
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
    named = [value for key, value in node.members if _is_category(key)]
    category = named[0] if named else None
    if not (isinstance(category, JsonScalar) and isinstance(category.value, str)):
        return None
    if any(not isinstance(n, JsonScalar) or n.value != category.value for n in named):
        return Line(remarks=("",))  # nobody can tell of what it speaks
    name, *levels = [word for word in _LEVELS.split(flatten(category.value)) if word] or [""]
    if name == DISTANCE:
        return Line(distances=frozenset(_all_values(members)))
    if name in KINDS:
        name, levels = SCREWS, [name, *levels]
    reasons = tuple(reason for member in node.members for reason in _reasons(*member))
    told = [value for key, value in node.members if key == _NUMBER]
    numbers = {_number(value) for value in told if not _is_null(value)}
    if numbers == {_NONE}:
        return Line(remarks=reasons)
    counts = [dict.fromkeys(levels, 1)] if levels else []
    for key, value in node.members:
        if not (is_remark(key) or key in _NO_ATTRIBUTES or _is_category(key)):
            counts.append(_attributes(flatten(key), value, spell_category(name)))
    sure = node.closed and numbers.isdisjoint({_NONE, _UNKNOWN})
    items = _items(spell_category(name), counts, reasons, sure)
    return Line(tuple(items))


def _is_category(key: str) -> bool:
    return flatten(key) in (_CATEGORY, "category")


def is_remark(key: str) -> bool:
    """Whether a key is one of those of remarks.

    >>> is_remark("備註")
    True
    """
    return flatten(key) in _REMARKS


def _reasons(key: str, node: JsonNode) -> Iterator[str]:
    """Yield the reasons of a member: of a remark, or of values that say that nobody can tell."""
    if is_remark(key):
        yield from remarks_of(node)
    elif key not in _NO_ATTRIBUTES and not _is_category(key):
        for value, _ in _counted(node):
            word = flatten(key + value)  # with its key: 品牌 无法判断 is about the brand
            if DOUBT.search(word):
                yield word


def remarks_of(node: JsonNode) -> tuple[str, ...]:
    """List the reasons of a remark: a text, a list of texts, or a map from text to count."""
    reasons = (reason for text in _texts(node) for reason in split_reasons(flatten(text)) if reason)
    return tuple(reason for reason in reasons if reason not in EMPTY_REMARKS)


def _items(
    category: str, counts: list[Counts], reasons: tuple[str, ...], is_sure: bool
) -> Iterator[Item]:
    """Yield an item for each kind of things that are counted.

    An attribute is sure if more things have it than are of other kinds. What stands in an entry
    that was cut off, or of which nobody can tell how many there are, is only possible.
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
        if not is_sure:
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
        numbers: dict[str, set[int]] = {}
        for value, count in node.members:
            numbers.setdefault(value, set()).add(_number(count))
        for value, told in numbers.items():
            number = told.pop() if len(told) == 1 else _UNKNOWN
            if number != _NONE:
                yield value, number
    else:
        yield from ((text, 1) for text in _texts(node))


def _is_null(node: JsonNode) -> bool:
    return isinstance(node, JsonScalar) and str(node.value).strip().lower() in ("", "null", "none")


def _number(count: JsonNode) -> int:
    """Read how many have an attribute: _NONE, or _UNKNOWN where nobody can tell whether any has."""
    if not isinstance(count, JsonScalar):
        inner = count.items if isinstance(count, JsonList) else count.members
        return 1 if inner else _NONE
    value = count.value
    if isinstance(value, str):
        text = unicodedata.normalize("NFKC", value).strip()
        if in_words := _IN_WORDS.fullmatch(text):
            return _WORDS[in_words[1]]
        if _NONE_IN_WORDS.fullmatch(text.lower()):
            return _NONE
        if _COUNTED.fullmatch(text) is None:
            return _UNKNOWN
        value = int(_DIGITS.findall(text)[0])
    if value is None or value == 0:
        return _NONE
    return int(min(max(value, 1), _MOST)) if value > 0 else _UNKNOWN


def _texts(node: JsonNode, depth: int = 6) -> Iterator[str]:
    if depth == 0:
        yield ""  # nobody reads what lies deeper
    elif isinstance(node, JsonScalar):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, JsonList):
        for item in node.items:
            yield from _texts(item, depth - 1)
    else:
        yield from (key for key, _ in node.members)


def _all_values(members: dict[str, JsonNode]) -> Iterator[str]:
    for key, node in members.items():
        if key != _CATEGORY:
            for value, _ in _counted(node):
                yield flatten(value)
            if isinstance(node, JsonScalar) and not isinstance(node.value, str):
                yield str(node.value)
