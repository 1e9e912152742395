"""What a remark or a reason is about: the words for each category and kind, and negations."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from shenhe.config.evidence import Part
from shenhe.config.spelling import KINDS, LABEL, SCREWS

_SCREW_KINDS, _PLUG_KINDS = frozenset(KINDS[:3]), frozenset(KINDS[3:])
_ALL_KINDS = frozenset(KINDS)
_WORDS: dict[str, frozenset[str]] = {
    **{kind: frozenset({kind}) for kind in KINDS},
    **dict.fromkeys(("bbu螺丝", "安装螺丝", "安装螺钉"), frozenset({KINDS[0]})),
    **dict.fromkeys(("机柜处接地", "机柜接地", "机柜处", "机柜侧"), frozenset({KINDS[1]})),
    **dict.fromkeys(("地排处接地", "地排处", "地排", "接地排"), frozenset({KINDS[2]})),
    **dict.fromkeys(("bbu端插头", "bbu端", "bbu侧"), frozenset({KINDS[3]})),
    **dict.fromkeys(("odf端插头", "odf端", "odf侧", "odf"), frozenset({KINDS[4]})),
    **dict.fromkeys(("接地螺丝", "接地螺钉", "接地点", "接地端子"), frozenset(KINDS[1:3])),
    **dict.fromkeys(("螺丝", "螺钉", "螺栓"), _SCREW_KINDS),
    **dict.fromkeys(("光纤插头", "插头", "光纤接头", "接头"), _PLUG_KINDS),
    **dict.fromkeys(("挡风板", "档风板"), frozenset({"挡风板"})),
    **dict.fromkeys(
        ("光纤", "尾纤", "蛇形管", "铠装", "保护措施", "套管"), frozenset({"光纤", "尾纤"})
    ),
    **dict.fromkeys(("弯曲半径", "保护", "护套"), frozenset({"光纤", "尾纤"})),
    **dict.fromkeys(("电线", "线缆", "地线", "接地线"), frozenset({"电线", "接地线"})),
    **dict.fromkeys(("rru设备", "rru"), frozenset({"rru设备"})),
    **dict.fromkeys(("bbu设备", "bbu"), frozenset({"bbu设备"})),
    LABEL: frozenset({LABEL}),
}
NEGATION = re.compile(
    "没有|没|未见|未发现|未出现|未看到|未检出|未检测到|未有|不存在|不含|并无|均无|无|避免|防止|防|不会|不易|不得|不允许|不应|不可有|严禁|禁止|并非|不是|非"
)
UNSURE = re.compile("是否|无法|不确定|疑似|可能|难以|看不|有没有|不清楚")
TURNS = re.compile("但是|但|然而|却|而且|并且|同时|且")
"""Words behind which a negation does not reach."""
_HIDING = re.compile(
    "被[^被]{0,12}?(?:遮挡|遮住|挡住|覆盖|压住|挡)|(?:线缆|电线|光纤|尾纤|标签|挡风板)(?:遮挡|遮住|挡住|覆盖)"
)
"""What hides something is not what a text is about."""
_DENIED = re.compile(".{0,8}?(?:不存在|未出现|不成立|未发生)")
_MAX_MENTIONS = 16
"""A word that a text denies more often than this counts as stated."""
HARMLESS = re.compile(
    "无需安装|无须安装|无需|无须|不需要|不需|无遮挡|无异常|无明显异常|无问题|无误|无关|无影响|无碍|毫无|均无异常|"
    "防松动|防松|无法识别|缺一不可|非常"
)
"""Words with a negation that says nothing of what stands behind it."""


@lru_cache(maxsize=256)
def subject_words(own: frozenset[str]) -> re.Pattern[str]:
    """Give the pattern of all words for things, the longest first; `own` are those of the rules."""
    words = sorted({*_WORDS, *own}, key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, words)))


@lru_cache(maxsize=8192)
def subjects(text: str, own: frozenset[str] = frozenset()) -> frozenset[str]:
    """Find what a text names: categories and kinds; `own` are those of the rules.

    A BBU that is named beside something else is only where that is.

    >>> sorted(subjects("机柜处螺丝看不清"))
    ['机柜处接地螺丝']
    """
    sets = [
        _WORDS.get(word) or frozenset({word})
        for word in subject_words(own).findall(_HIDING.sub("", text))
    ]
    exact = [names for names in sets if len(names) == 1]
    broad = [names for names in sets if len(names) > 1 and not any(names & one for one in exact)]
    names = frozenset().union(*exact, *broad)
    return names - {"bbu设备"} or names


def concerns(part: Part, names: Iterable[str]) -> bool:
    """Whether an item of a rule is about one of the names.

    A rule for screws and plugs of any kind is about each kind.
    """
    any_kind = _ALL_KINDS if SCREWS in part.categories else frozenset()
    about = kinds_of(part) or part.categories | any_kind
    return any(name in about for name in names)


def is_named(categories: Iterable[str], attributes: frozenset[str], names: frozenset[str]) -> bool:
    """Whether an item of a line is one of what is named; a screw of no kind may be any screw."""
    if not names.isdisjoint(categories) or not names.isdisjoint(attributes):
        return True
    return SCREWS in categories and attributes.isdisjoint(KINDS) and not names.isdisjoint(KINDS)


def kinds_of(part: Part) -> frozenset[str]:
    """Give the kinds that an item of a rule names: which screw, which plug."""
    if SCREWS not in part.categories:
        return frozenset()
    return frozenset().union(*(level & _ALL_KINDS for level in part.levels))


def states(text: str, word: str) -> bool:
    """Whether a text states a fault's word, which no negation and no doubt stands before.

    >>> states("螺丝未拧紧", "未拧紧"), states("未见露铜", "露铜"), states("疑似露铜", "露铜")
    (True, False, False)
    """
    start = text.find(word)
    for _ in range(_MAX_MENTIONS):
        if start < 0:
            return False
        before = HARMLESS.sub("", text[:start])
        if NEGATION.search(before) or UNSURE.search(before):
            return False  # and so is whatever stands behind
        if not (before.endswith("不") or _DENIED.match(text, start + len(word))):
            return True
        start = text.find(word, start + len(word))
    return True
