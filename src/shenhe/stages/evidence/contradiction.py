"""Whether the reason of a 通过 says that the group does not pass."""

from __future__ import annotations

import re

from shenhe.config.evidence import EvidenceRules
from shenhe.config.spelling import flatten
from shenhe.stages.evidence.doubts import TURNS, is_ignored
from shenhe.stages.evidence.rules import ReadyRules, make_ready
from shenhe.stages.evidence.subjects import HARMLESS, NEGATION, concerns, states, subjects

MAX_LENGTH = 4000
"""Characters of a reason that are looked at."""
_REFUSALS = (
    "不通过",
    "不合格",
    "不予通过",
    "不能通过",
    "不应通过",
    "未通过",
    "不可通过",
    "不给通过",
    "不达标",
)
_FAULTS = (
    *(
        "装反",
        "反装",
        "松动",
        "脱落",
        "破损",
        "断裂",
        "不符合",
        "未按要求",
        "不满足",
        "不合理",
        "未达到要求",
    ),
    *(
        "未拧紧",
        "露铜",
        "复接",
        "生锈",
        "锈蚀",
        "安装错误",
        "方向错误",
        "散乱",
        "未安装",
        "未配备",
        "不规范",
    ),
)
_MISSING = (
    *(
        "未见",
        "未看到",
        "没看到",
        "看不到",
        "看不见",
        "缺少",
        "缺失",
        "没有",
        "未拍到",
        "没拍到",
        "未拍摄",
    ),
    *("不可见", "未显示", "未提供", "未出现", "未发现", "缺"),
)
_UNCLEAR = (
    *(
        "看不清",
        "看不出",
        "无法看清",
        "无法确认",
        "无法判断",
        "无法辨认",
        "无法识别",
        "不能确认",
        "难以确认",
    ),
    *("难以判断", "不完整", "不确定", "存疑", "有疑问", "有疑义", "需复核", "待确认", "待复核"),
)
_CLAUSES = re.compile("[\x01,!?…]|\\.(?![0-9])")
_CONDITION = re.compile("^(?:若|如果|如有|如|否则|倘若|假如|一旦|只要|除非|凡)")
_CONSEQUENCE = re.compile("^(?:则|就|即|应|才|判|视为|否则)")
_DEFECT = re.compile(
    "异常|问题|缺陷|现象|情况|瑕疵|隐患|遮挡|矛盾|冲突|疑问|备注|不符|错误|损坏|变形|杂乱|裸露|违规|违反|"
    "无关|其他|其它|多余|不通过|不合格|影响"
)
"""What may be absent: its absence is good, or concerns nothing."""


def find_contradiction(reason: str, rules: EvidenceRules | None = None) -> str:
    """Find what in the reason of a 通过 contradicts it; empty if nothing does.

    Without rules of a mission the general words decide alone.

        >>> find_contradiction("各图均未见地排处接地螺丝，其余正常")
        '各图均未见地排处接地螺丝'
        >>> find_contradiction("螺丝符合要求，未见露铜")
        ''
    """
    ready = make_ready(rules) if rules is not None else None
    needless = "无需" in reason or "不需要" in reason
    conditional = False
    for clause in _CLAUSES.split(flatten(reason[:MAX_LENGTH])):
        if _CONDITION.match(clause):
            conditional = True
            continue
        if conditional and _CONSEQUENCE.match(clause):
            continue
        conditional = False
        for part in TURNS.split(clause):
            if part and _contradicts(part, ready, needless):
                return clause
    return ""


def _contradicts(clause: str, rules: ReadyRules | None, needless: bool) -> bool:
    if any(states(clause, word) for word in _REFUSALS):
        return True
    if _states_fault(clause, rules):
        return True
    if rules is not None and is_ignored(clause, rules):
        return False
    return _is_missing(clause, rules, needless) or _is_unclear(clause, rules)


def _states_fault(clause: str, rules: ReadyRules | None) -> bool:
    words = (
        [*_FAULTS, *(word for fault in rules.faults for word in fault.words)] if rules else _FAULTS
    )
    if not any(states(clause, word) for word in words):
        return False
    return _is_needed(subjects(clause, rules.own), rules, True) if rules else True


def _is_missing(clause: str, rules: ReadyRules | None, needless: bool) -> bool:
    text = HARMLESS.sub("", clause)
    for word in _MISSING:
        before, mark, behind = text.partition(word)
        if not mark or NEGATION.search(before) or _DEFECT.search(behind):
            continue
        if any(fault in behind for fault in (*_FAULTS, *_words(rules))):
            continue
        if rules is None:
            return True
        names = subjects(behind, rules.own) or subjects(before, rules.own)
        if needless and names == {"挡风板"}:
            continue
        if _is_needed(names, rules, word.startswith("缺")):
            return True
    return False


def _is_unclear(clause: str, rules: ReadyRules | None) -> bool:
    text = HARMLESS.sub("", clause)
    for word in _UNCLEAR:
        before, mark, _ = text.partition(word)
        if not mark or NEGATION.search(before):
            continue
        if rules is None or _is_needed(subjects(text, rules.own), rules, True):
            return "无关" not in clause and "不影响" not in clause
    return False


def _is_needed(names: frozenset[str], rules: ReadyRules, unnamed: bool) -> bool:
    """Whether a mission asks for what a clause names; `unnamed` answers for one that names none."""
    if not names:
        return unnamed
    return any(concerns(part, names) for part in rules.parts())


def _words(rules: ReadyRules | None) -> list[str]:
    return [word for fault in rules.faults for word in fault.words] if rules else []
