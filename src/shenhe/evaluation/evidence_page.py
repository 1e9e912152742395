"""What the lines of a run allow, in words and tables, for a terminal or a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from shenhe.evaluation.evidence import HELD, EvidenceSurvey, EvidenceTally, Kind
from shenhe.evaluation.page import Table
from shenhe.files import whole_file
from shenhe.proportions import Share
from shenhe.rows.words import ALL, GROUPS, MISSION, Words
from shenhe.templating import environment

KIND_HEADS: Final[dict[Kind, Words]] = {
    "fault": Words("写明问题", "fault stated"),
    "missing": Words("缺少内容", "item missing"),
    "doubtful": Words("只有存疑", "only doubtful"),
    "complete": Words("看不出问题", "nothing to see"),
    "unread": Words("摘要不全", "lines incomplete"),
}
LIMIT_HEADS: Final = (
    Words("与合格组相同", "like passed ones"),
    Words("误放行率下限", "lowest false pass"),
)
TRUTHS: Final = {
    "labels": Words("与原人工结论对照", "against labels"),
    "decisions": Words("与审核页面中的人工结论对照", "against people's decisions in review"),
}
HELD_BACK: Final = Words("被拦下", "held back")


def evidence_tables(survey: EvidenceSurvey) -> list[Table]:
    """Lay out what the lines of groups show, by what people said of them.

    Example:
        for table in evidence_tables(survey):
            print(table.title)

    """
    tables = [
        Table(
            Words(
                "人工判不合格的组（95% 区间）", "Groups that people failed (95% intervals)"
            ).spoken(),
            _heads(MISSION, GROUPS, *KIND_HEADS.values(), *LIMIT_HEADS),
            [
                [
                    name,
                    *_counts(tally.failed),
                    f"{tally.like_passed:,}",
                    _share(tally.lowest_false_pass),
                ]
                for name, tally in _rows(survey)
            ],
        ),
        Table(
            Words(
                "人工判合格的组：规则的代价", "Groups that people passed: what the rules cost"
            ).spoken(),
            _heads(MISSION, GROUPS, *KIND_HEADS.values(), HELD_BACK),
            [
                [name, *_counts(tally.passed), _share(tally.held_back)]
                for name, tally in _rows(survey)
            ],
        ),
    ]
    if survey.has_verdicts:
        tables.append(_verdict_table(survey))
    if survey.reasons.field:
        tables.append(_reason_table(survey))
    return tables


def describe_limit(mission: str, tally: EvidenceTally) -> Words:
    """Say how far a judge of these lines can come down with its false passes.

    >>> tally = EvidenceTally(failed=Counter(missing=103, complete=189))
    >>> describe_limit("接地线", tally).zh.partition("。")[0]
    '接地线：人工判不合格的 292 组中，189 组（65%，95% 区间 59–70%）的摘要看不出问题'
    """
    share = tally.lowest_false_pass
    if share.value is None:
        return Words(
            f"{mission}：没有人工判不合格的组，说不出摘要的限度。",
            f"{mission}: no group that people failed, so nothing can be said of a limit.",
        )
    value, (low, high) = _percent(share.value), map(_percent, share.interval())
    if not share.count:
        return Words(
            f"{mission}：人工判不合格的 {share.total:,} 组，摘要全都看得出问题"
            f"（95% 区间：看不出的至多 {high}）。",
            f"{mission}: of {share.total:,} groups that people failed, all show something wrong in"
            f" their lines (95% interval: at most {high} show nothing).",
        )
    zh = (
        f"{mission}：人工判不合格的 {share.total:,} 组中，{share.count:,} 组（{value}，95% 区间"
        f" {low.removesuffix('%')}–{high}）的摘要看不出问题。仅凭这些摘要，凡是齐全的就放行，"
        f"误放行率不可能低于 {value}，除非摘要齐全的组也交给人工。"
    )
    en = (
        f"{mission}: of {share.total:,} groups that people failed, the lines of {share.count:,}"
        f" ({value}, 95% interval {low.removesuffix('%')}-{high}) show nothing wrong. Who passes"
        f" what is complete in these lines cannot have fewer false passes than {value}, unless"
        " complete groups are left to people too."
    )
    if like := tally.like_passed:
        zh += f"其中 {like:,} 组的摘要与人工判合格的组所见完全相同。"
        en += f" Of them, {like:,} show the very same as a group that people passed."
    return Words(zh, en)


def describe_survey(survey: EvidenceSurvey) -> list[Words]:
    """Say what the figures mean: the limit of each mission, what rules stop, what has no rules.

    Example:
        for words in describe_survey(survey):
            print(words.zh, words.en)

    """
    sentences = [describe_limit(name, tally) for name, tally in survey.missions.items()]
    if survey.has_verdicts and survey.total.stopped.total:
        sentences.append(_describe_rules(survey.total))
    elif not survey.has_verdicts:
        sentences.append(
            Words(
                "没有结论（stage_b）：不知道模型放过了哪些组。",
                "No verdicts (stage_b): which groups the model passed is not known.",
            )
        )
    for name, groups in survey.without_rules.items():
        sentences.append(
            Words(
                f"{name}：没有证据规则，{groups:,} 组未计入。",
                f"{name}: no evidence rules; its {groups:,} groups are not counted.",
            )
        )
    return sentences


def write_evidence_page(path: Path, run_name: str, truth: str, survey: EvidenceSurvey) -> None:
    """Write one self-contained HTML page.

    Raises: RunError if it cannot be written.

    Example:
        write_evidence_page(Path("evidence.html"), "out", "labels", survey)

    """
    template = environment("shenhe.evaluation").get_template("evidence.html")
    page = template.render(
        run_name=run_name,
        truth=TRUTHS[truth].spoken(),
        sentences=describe_survey(survey),
        tables=evidence_tables(survey),
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _describe_rules(tally: EvidenceTally) -> Words:
    """Say what the rules stop, and what that costs."""
    stopped, cost = tally.stopped, tally.cost
    zh = f"人工判不合格而模型判通过的 {stopped.total:,} 组，证据规则拦下 {_share(stopped)}"
    en = f"Of {stopped.total:,} groups that people failed and the model passed, the rules stop"
    en += f" {_share(stopped)}"
    if cost.total:
        zh += f"；代价：两者都说通过的 {cost.total:,} 组中，{_share(cost)} 也要交给人工"
        en += f"; the cost: of {cost.total:,} that both passed, {_share(cost)} go to people too"
    return Words(f"{zh}。", f"{en}.")


def _verdict_table(survey: EvidenceSurvey) -> Table:
    head = (
        Words("误放行的组", "false passes"),
        *(KIND_HEADS[kind] for kind in (*HELD, "complete")),
        Words("拦下", "stopped"),
        Words("判对的通过", "right passes"),
    )
    rows = []
    for name, tally in _rows(survey):
        counts = tally.false_passes
        kinds = [f"{counts[kind]:,}" for kind in (*HELD, "complete")]
        row = [name, f"{tally.stopped.total:,}", *kinds, _share(tally.stopped)]
        rows.append([*row, f"{tally.cost.total:,}", _share(tally.cost)])
    title = Words(
        "模型判通过的组：规则拦下多少", "Groups that the model passed: what the rules stop"
    )
    return Table(title.spoken(), _heads(MISSION, *head, HELD_BACK), rows)


def _reason_table(survey: EvidenceSurvey) -> Table:
    rows = [
        [reason.reason, f"{reason.unobservable:,}", f"{reason.observable:,}"]
        for reason in survey.reasons.top()
    ]
    head = _heads(
        Words(str(survey.reasons.field), "reason"),
        Words("看不出问题的组", "nothing to see"),
        Words("其他组", "other groups"),
    )
    return Table(Words("不合格原因", "Reasons of people").spoken(), head, rows)


def _heads(*heads: Words) -> list[str]:
    return [words.spoken("\n") for words in heads]


def _rows(survey: EvidenceSurvey) -> Iterator[tuple[str, EvidenceTally]]:
    yield from survey.missions.items()
    if len(survey.missions) > 1:
        yield ALL.spoken(), survey.total


def _counts(counts: Counter[Kind]) -> Sequence[str]:
    return [f"{counts.total():,}", *(f"{counts[kind]:,}" for kind in KIND_HEADS)]


def _share(share: Share) -> str:
    if share.value is None:
        return "-"
    low, high = share.interval()
    return f"{share.count:,} = {share.value:.1%} ({low * 100:.1f}-{high * 100:.1f})"


def _percent(share: float) -> str:
    """Write a share in per cent, with one decimal below 10."""
    return f"{share:.1%}" if share < 0.095 else f"{share:.0%}"
