"""What a watch says to people, in Chinese and English: sentences, states, what to do now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from shenhe.errors import spelled
from shenhe.promise.alarm import State
from shenhe.promise.watching import RECENT_WEEKS, Audited, MissionWatch, Watch
from shenhe.rows.words import Words, per

STATE_WORDS: Final[Mapping[State, Words]] = {
    "normal": Words("正常", "normal"),
    "tightened": Words("加严", "tightened"),
    "stopped": Words("停用", "stopped"),
}
NOT_AUDITED: Final = Words("未盲审", "not audited")
ALL: Final = Words("全部任务", "all missions")


def state_words(watch: Watch, mission: MissionWatch | None = None) -> Words:
    """Name the state of a mission, or the worst of all; without a look nothing is known."""
    state = watch.state if mission is None else watch.state_of(mission)
    shown = watch.missions if mission is None else (mission,)
    is_known = state != "normal" or any(each.audited.looked for each in shown)
    return STATE_WORDS[state] if is_known else NOT_AUDITED


def headline(watch: Watch) -> Words:
    """Say the state in a sentence."""
    limit = per(watch.limit, 100)
    first = watch.missions[0]
    bad = [mission for mission in watch.missions if mission.state == watch.state]
    bad = [mission for mission in bad if mission.mission] or bad  # a mission explains all of them
    zh, en = ("、".join(name) for name in zip(*(mission_words(each) for each in bad), strict=True))
    en = en.replace("、", ", ")
    if watch.state == "stopped":
        weeks = "、".join(sorted({each.alarm_week for each in bad}))
        return Words(
            f"停用：{zh}的误放行超过了承诺的 {limit}%（{weeks} 报警）。机器放行的组不得再用。",
            f"Stopped: {en} let through more than the promised {limit}% of bad groups (alarm in"
            f" {weeks.replace('、', ', ')}). What the machine passes must not be used.",
        )
    if watch.state == "tightened":
        return Words(
            f"加严：{zh}有误放行上升的迹象，还不足以报警；盲审加倍。",
            f"Tightened: {en} may let through more bad groups than promised; not enough for an"
            " alarm, so twice as many groups are looked at.",
        )
    if state_words(watch) == NOT_AUDITED:
        return Words(
            "无法判断：机器放行的组还没有人盲审过。",
            "Nothing can be said: nobody has looked blind at what the machine passed.",
        )
    if all(mission.is_proven for mission in watch.missions):
        return Words(
            f"正常：盲审证实，每 100 个不合格至多放过 {per(first.audited.high, 100)} 个，"
            f"承诺是 {limit} 个。",
            f"Normal: looks prove that of 100 bad groups at most {per(first.audited.high, 100)}"
            f" pass; promised are {limit}.",
        )
    return Words(
        f"正常：没有迹象表明误放行超过承诺的 {limit}%；盲审的组还不够证实它。",
        f"Normal: nothing says that more than the promised {limit}% of bad groups pass; too few"
        " groups were looked at to prove it.",
    )


def mission_words(mission: MissionWatch) -> Words:
    """Name a mission, or all of them."""
    return Words(mission.mission, mission.mission) if mission.mission else ALL


def describe_rates(audited: Audited, confidence: float) -> Words:
    """Say how many bad groups pass, of 100 bad ones and of 1,000 that pass."""
    if not audited.looked:
        return Words("还没有可用的盲审", "no looks to count yet")
    if audited.of_bad is None:
        return Words(
            "还不知道有不合格的组，说不出误放行率",
            "no bad group is known yet: nothing can be said of false passes",
        )
    bad, high = per(audited.of_bad, 100), per(audited.high, 100)
    zh = f"每 100 个不合格约放过 {bad} 个（{confidence:.0%} 把握至多 {high} 个）"
    en = f"of 100 bad groups about {bad} pass (at most {high}, {confidence:.0%} sure)"
    if audited.recent is not None:
        recent = per(audited.recent, 100)
        zh += f"，最近 {RECENT_WEEKS} 周约 {recent} 个"
        en += f", about {recent} in the last {RECENT_WEEKS} weeks"
    if audited.of_passed is None:
        return Words(zh, en)
    inside = per(audited.of_passed, 1000)
    return Words(
        f"{zh}；放行的 1,000 组里约 {inside} 组不合格",
        f"{en}; of 1,000 passed groups about {inside} are bad",
    )


def describe_promised(mission: MissionWatch, watch: Watch) -> Words:
    """Say what is promised of a mission."""
    limit = per(mission.limit, 100)
    zh, en = f"每 100 个不合格至多放过 {limit} 个", f"of 100 bad groups at most {limit} pass"
    if watch.promise is None:
        return Words(f"没有给出承诺；本行业的上限：{zh}", f"no promise; the field's limit: {en}")
    if not mission.mission:
        return Words(zh, en)
    if mission.threshold is not None:
        at = f"≥ {mission.threshold:.2f}"
        return Words(f"{zh}，对数几率 {at}", f"{en}, log-odds {at}")
    if mission.promised:
        return Words("承诺不了：任何组都不应放行", "nothing could be promised: no group may pass")
    return Words("承诺里没有这个任务", "the promise does not name this mission")


def describe_used(mission: MissionWatch) -> Words:
    """Say what verdicts were really decided by, beside what is promised."""
    promise = mission.used.promise
    if not promise:
        zh, en = "没有按承诺判定", "decided without a promise"
    elif not mission.promised:
        zh, en = f"承诺 {promise[:8]}", f"promise {promise[:8]}"
    elif promise == mission.promised:
        zh, en = "与承诺一致", "as promised"
    else:
        zh, en = f"按另一份承诺 {promise[:8]}", f"by another promise, {promise[:8]}"
    if mission.lowest is not None:
        zh += f"；放行的组里最低的对数几率是 {mission.lowest:.2f}"
        en += f"; lowest log-odds passed: {mission.lowest:.2f}"
    return Words(zh, en)


def advice(watch: Watch) -> Iterator[Words]:
    """Say what to do now, the urgent first."""
    if watch.state == "stopped":
        yield Words(
            "停止使用机器放行的组，全部交人工；查明原因，用 `shenhe promise` 重新承诺，"
            "并按新承诺判定；在那之前一直停用。",
            "Use no group that the machine passes, people look at all of them; find out why, make a"
            " new promise with `shenhe promise`, and decide by it: until then all stays stopped.",
        )
    audit, promise = spelled("audit_share", 0.1), spelled("promise")
    for run_dir in watch.reading.without_plan:
        yield Words(
            f"{run_dir} 没有盲审：运行 `shenhe review {run_dir} {audit}`。",
            f"{run_dir} has no blind audit: run `shenhe review {run_dir} {audit}`.",
        )
    share = watch.next_share(watch.state)
    if watch.state != "stopped" and share is not None:
        yield Words(
            f"下周盲审机器放行的组的 {share:.1%}。",
            f"Next week look blind at {share:.1%} of the groups that the machine passes.",
        )
    for mission in watch.missions:
        if mission.mission or len(watch.missions) == 1:
            yield from _advice_on(mission)
    if watch.promise is None:
        yield Words(
            f"没有给出承诺（{promise}）：按本行业的上限 5% 检查。",
            f"No promise was given ({promise}): the field's limit of 5% is checked.",
        )


def _advice_on(mission: MissionWatch) -> Iterator[Words]:
    zh, en = mission_words(mission)
    promise, audit = spelled("promise"), spelled("truth", "audit")
    if mission.promised and mission.threshold is None and mission.audited.passed:
        count = f"{mission.audited.passed:,}"
        yield Words(
            f"{zh}：没有承诺，却放行了 {count} 组；请全部交人工。",
            f"{en}: nothing could be promised, and yet {count} groups were passed; have people look"
            " at all of them.",
        )
    elif mission.promised and mission.used.promise != mission.promised:
        yield Words(
            f"{zh}：这些组不是按这份承诺判定的；承诺对它们不成立。用 `shenhe run {promise}` 或"
            f" `shenhe decide {promise}` 判定。",
            f"{en}: these groups were not decided by this promise, which does not hold for them;"
            f" decide with `shenhe run {promise}` or `shenhe decide {promise}`.",
        )
    if mission.audited.left:
        count = f"{mission.audited.left:,}"
        yield Words(
            f"{zh}：{count} 组留给人工的还没有人判定；判定得越多，证实得越快；"
            "在那之前报警可能是误报。",
            f"{en}: {count} groups that were left to people are not decided; the sooner they are,"
            " the sooner the promise is proven; until then an alarm may be false.",
        )
    if (
        mission.ladder is not None
        and mission.threshold is not None
        and mission.state == "normal"
        and mission.ladder < mission.threshold
    ):
        yield Words(
            f"{zh}：盲审已允许把阈值从 {mission.threshold:.2f} 放宽到 {mission.ladder:.2f}"
            f"（`shenhe promise {audit}`）。",
            f"{en}: looks allow the threshold to go down from {mission.threshold:.2f} to"
            f" {mission.ladder:.2f} (`shenhe promise {audit}`).",
        )
