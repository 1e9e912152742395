"""Words that people read of verdicts, in Chinese and English: why undecided, what slips through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shenhe.languages import Words as Words  # words of other modules come from here too
from shenhe.photos import flags
from shenhe.proportions import Share
from shenhe.values import (
    CONTRADICTION,
    DUPLICATE_GROUP,
    EVIDENCE_AGAINST,
    EVIDENCE_MISSING,
    FORMAT,
    LEFT_OUT,
    REUSED_PHOTO,
    STAGE_A_INCOMPLETE,
    UNSURE,
)

MISSION: Final = Words("任务", "mission")
GROUPS: Final = Words("组", "groups")
ALL: Final = Words("全部", "all")
UNDECIDED: Final = Words("未决", "undecided")

CODE_WORDS: Final[Mapping[str, Words]] = {
    STAGE_A_INCOMPLETE: Words("摘要不全", "lines incomplete"),
    LEFT_OUT: Words("有文件未查看", "files not looked at"),
    REUSED_PHOTO: Words("照片在别的工单用过", "a photo was used in another group"),
    DUPLICATE_GROUP: Words("同一组有多条记录，内容不同", "several rows that differ"),
    UNSURE: Words("把握不够", "not sure enough"),
    EVIDENCE_MISSING: Words("缺少必要内容", "evidence missing"),
    EVIDENCE_AGAINST: Words("摘要写明了问题", "a line states a fault"),
    CONTRADICTION: Words("理由与结论矛盾", "reason contradicts verdict"),
    FORMAT: Words("回答格式不符", "malformed answer"),
}


FLAG_WORDS: Final[Mapping[str, Words]] = {
    flags.REUSED: Words("别的工单用过", "used in another group"),
    flags.NEAR_DUPLICATE: Words(
        "与别的工单的照片几乎相同", "nearly the same as a photo of another group"
    ),
    flags.SHARED: Words("同一工单的别处也有", "also elsewhere in this work order"),
    flags.REPEATED: Words("组内重复", "twice in the group"),
    flags.OLD: Words("早于工单日期", "taken before the order"),
    flags.APART_IN_TIME: Words("拍摄时间与同组相差很大", "taken at another time than the group"),
    flags.APART_IN_SPACE: Words("拍摄地点与同组相距很远", "taken far from the group"),
    flags.SCREENSHOT: Words("截屏", "screenshot"),
    flags.DARK: Words("过暗", "dark"),
    flags.BLURRED: Words("模糊", "blurred"),
    flags.DAMAGED_INSIDE: Words("内部损坏", "damaged inside"),
}
"""Words of what is said of a photo beside the model."""


def words_of(code: str) -> Words:
    """Give the words of a code for which a group is undecided.

    Codes of engines have none of their own; rows of earlier versions have no code at all.

    >>> words_of("evidence_missing").zh
    '缺少必要内容'
    """
    if not code:
        return Words("未注明", "not stated")
    return CODE_WORDS.get(code, Words("其他原因", "other reason"))


def describe_false_pass(of_failed: Share, of_passed: Share) -> Words:
    """Say how often the machine passes what people fail, both ways.

    `of_failed` are the groups that people failed, of which the machine passed some; `of_passed`
    those that it passed, of which people failed some. Only the first is what a promise bounds.

        >>> describe_false_pass(Share(3, 150), Share(3, 1000)).zh
        '每 100 个不合格约放过 2 个（3/150，95% 区间 0.7–5.7）；放行的 1,000 组里约 3 组不合格'
    """
    if of_failed.value is None:
        return Words(
            "没有人工判不合格的组，无法得出误放行率",
            "no group that people failed: nothing can be said of false passes",
        )
    low, high = (f"{100 * bound:.1f}" for bound in of_failed.interval())
    rate = per(of_failed.value, 100)
    counts = f"{of_failed.count:,}/{of_failed.total:,}"
    zh = f"每 100 个不合格约放过 {rate} 个（{counts}，95% 区间 {low}–{high}）"
    en = f"of 100 groups that people failed, about {rate} are passed"
    en += f" ({counts}, 95% interval {low}-{high})"
    if of_passed.value is None:
        return Words(f"{zh}；没有放行任何组", f"{en}; none are passed at all")
    inside = per(of_passed.value, 1000)
    return Words(
        f"{zh}；放行的 1,000 组里约 {inside} 组不合格",
        f"{en}; of 1,000 passed groups, about {inside} are bad",
    )


def per(share: float, base: int) -> str:
    """Write a share as a number of things: with one decimal below 10, where there is any.

    >>> per(0.025, 100), per(0.0001, 100)
    ('2.5', '<0.1')
    """
    number = share * base
    if 0 < number < 0.05:
        return "<0.1"
    return f"{number:.1f}".removesuffix(".0") if number < 10 else f"{number:,.0f}"
