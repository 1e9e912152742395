"""What is printed of a promise: what it bounds, for whom, what it rests on and what breaks it."""

from __future__ import annotations

from collections.abc import Iterator

from shenhe.errors import spelled
from shenhe.promise.find import Finding
from shenhe.promise.propose import BY_PHOTOS, NO_CLUSTERS, Proposal
from shenhe.promise.threshold import Goal
from shenhe.proportions import Share
from shenhe.rows.words import Words


def describe_goal(goal: Goal) -> list[Words]:
    """Say what is to be promised: of which groups, and how surely.

    >>> describe_goal(Goal(0.05))[0].en
    'of the groups that people fail, at most 5% may pass; this is no share of the passed groups'
    """
    share, risk = f"{100 * goal.max_false_pass:.3g}%", f"{100 * (1 - goal.confidence):.3g}"
    sentences = [
        Words(
            f"人工判不合格的组里，放行的不超过 {share}；这不是放行的组里不合格的比例",
            f"of the groups that people fail, at most {share} may pass; this is no share of the"
            " passed groups",
        ),
        Words(
            f"每个任务各自成立：这样的组抽样 100 次，至多 {risk} 次不成立",
            "it holds for each mission by itself, and is broken in at most"
            f" {risk} of 100 samples of groups like the labelled ones",
        ),
    ]
    if goal.missed:
        missed, seen = f"{100 * goal.missed:.3g}%", f"{100 * goal.share:.3g}%"
        sentences.append(
            Words(
                f"按模型放行的不合格组人工至多漏看 {missed} 计："
                f"人工看出的不合格组里，放行的不超过 {seen}",
                f"people are taken to overlook at most {missed} of the bad groups that"
                f" the model passes: of those that they fail {seen} may pass",
            )
        )
    if goal.candidates > 1:
        sure = f"{100 * (1 - goal.risk):.4g}%"
        sentences.append(
            Words(
                f"{goal.candidates} 个候选分摊风险：每个的把握是 {sure}",
                f"{goal.candidates} candidates share the risk: each is {sure} sure",
            )
        )
    return sentences


def describe(proposal: Proposal) -> list[Words]:
    r"""Describe what a promise rests on, what it lacks and what breaks it, a sentence each.

    Example:
        for words in describe(propose(Path("out"), Terms(Goal(0.05)))):
            print(words.zh, words.en, sep="\n")

    """
    sentences = [
        Words(f"{name}：{words.zh}", f"{name}: {words.en}")
        for name, finding in proposal.named_findings().items()
        for words in _describe_finding(finding)
    ]
    return [*sentences, *_describe_notes(proposal)]


def _describe_finding(finding: Finding) -> Iterator[Words]:
    if finding.threshold is None:
        yield Words(
            f"没有承诺，所以“通过”都不成立：{finding.problem.zh}",
            f"no promise, so no 通过 stands: {finding.problem.en}",
        )
    elif finding.looks.en:
        yield finding.looks
    elif finding.all_slipped.total != finding.failed:
        share = _percent(finding.all_slipped)
        yield Words(
            f"人工判不合格的 {finding.all_slipped.total:,} 组（一簇有几组）里放行 {share}",
            f"of all {finding.all_slipped.total:,} failed groups, several of a cluster,"
            f" {share} pass",
        )
    yield from _describe_sample(finding)


def _describe_sample(finding: Finding) -> Iterator[Words]:
    sample = finding.sample
    if sample.unreadable:
        failed = len(sample.failed) + sample.unreadable
        rate, of_all = (
            _percent(finding.all_slipped),
            _percent(Share(finding.all_slipped.count, failed)),
        )
        yield Words(
            f"人工判不合格的组里有 {sample.unreadable:,} 组没能判，不计入比例："
            f"判了的 {len(sample.failed):,} 组里放行 {rate}，全部 {failed:,} 组里放行 {of_all}",
            f"{sample.unreadable:,} failed groups could not be judged and are left out of the rate:"
            f" of the {len(sample.failed):,} that could {rate} pass, of all {failed:,} {of_all}",
        )
    if sample.scoreless:
        yield Words(
            f"{sample.scoreless:,} 个“通过”的 p_pass 不是 0 到 1 之间的数，一律不放行",
            f"{sample.scoreless:,} 通过 without a p_pass from 0 to 1 never pass",
        )
    if sample.cut and finding.threshold is not None and not finding.looks.en:
        yield Words(
            f"{sample.cut:,} 组因运行时的阈值而未决，或没有写明原因：承诺不低于那个阈值。"
            "想再低，先用 `shenhe decide` 不加阈值重新判定，再对结果作承诺",
            f"{sample.cut:,} groups are undecided by a threshold of the run, or do not say by what:"
            " the promise is not below it. To go lower, `shenhe decide` without a threshold,"
            " then promise on what that writes",
        )
    yield from _describe_left_out(finding)


def _describe_left_out(finding: Finding) -> Iterator[Words]:
    """Say of which groups people said too little, and which the model has seen before."""
    sample = finding.sample
    if sample.unseen and finding.threshold is not None:
        yield Words(
            f"{sample.unseen:,} 个可放行的组没有人工结论：承诺高于其中任何一组",
            f"{sample.unseen:,} groups that pass have no decision: the promise stays above all of"
            " them",
        )
    if sample.deferred:
        yield Words(
            f"{sample.deferred:,} 个“待定”的组，凡模型放行的都按不合格算",
            f"{sample.deferred:,} groups with 待定 count as failed where the model passes them",
        )
    if sample.in_training:
        yield Words(
            f"{sample.in_training:,} 组含有训练数据里的照片，不计入",
            f"{sample.in_training:,} groups have a photo of a training row and are left out",
        )


def _describe_notes(proposal: Proposal) -> Iterator[Words]:
    if proposal.unended:
        names = proposal.unended
        yield Words(
            f"{'、'.join(names)} 还没有判完：还没判的组可能与判过的不同",
            f"judging of {', '.join(names)} has not ended: groups that are yet to be"
            " judged may be of another kind",
        )
    yield from _describe_corrections(proposal)
    yield from proposal.clusters.notes
    yield from _describe_clusters(proposal)
    yield from proposal.training.notes
    if proposal.pooled is not None:
        yield Words(
            "所有任务用一个阈值，对其中任何一个都不作承诺：看各任务自己的数",
            "one threshold for all missions promises nothing of any one of them: see their rates",
        )
    findings = proposal.findings.values()
    if any(origin.evidence is None for f in findings for origin in f.sample.origins):
        again = f"shenhe decide {proposal.run_dir} {spelled('output_dir', 'OUT')}"
        yield Words(
            "这些行没有用证据规则判定，用了规则的运行不接受这份承诺："
            f"先 `{again}`，再对 OUT 作承诺",
            "rows were made without evidence rules, and a run with rules refuses this promise:"
            f" first `{again}`, then promise on OUT",
        )
    if proposal.promised:
        yield from _describe_limits(proposal.terms.truth == "audit")


def _describe_clusters(proposal: Proposal) -> Iterator[Words]:
    cluster, largest = proposal.terms.cluster, proposal.clusters.largest
    if largest > 1 and cluster != NO_CLUSTERS:
        zh, en = f"{cluster} 相同", cluster
        if cluster == BY_PHOTOS:
            zh, en = "共用照片", "photos"
        yield Words(
            f"人工判不合格的组里，{zh}的只算随机的一组，取哪一组由组名决定；最多的一簇有"
            f" {largest:,} 组",
            f"failed groups that share {en} count once, by a random one of them that their"
            f" keys decide: up to {largest:,} do",
        )
        yield Words(
            "所以承诺说的是：随机一簇里随机的一个不合格组",
            "so the promise is about a random failed group of a random cluster",
        )
    if proposal.ties and cluster == BY_PHOTOS:
        option = spelled("cluster", next(iter(proposal.ties)))
        zh = "、".join(f"{name}（{count:,} 个值）" for name, count in proposal.ties.items())
        en = ", ".join(f"{name} ({count:,} values)" for name, count in proposal.ties.items())
        yield Words(
            f"人工判不合格的组有相同的字段：{zh}；如果其中之一是站点，请写明：{option}",
            f"failed groups have fields in common: {en}; if one of them is the site, say so:"
            f" {option}",
        )


def _describe_limits(by_audit: bool) -> Iterator[Words]:
    yield Words(
        "来历不同的组，换过模型、提示词或规则的运行，人工会漏看的问题，都不在承诺之内",
        "it does not hold for groups of another kind, with another checkpoint, prompt or rule, or"
        " where people overlook bad groups",
    )
    if by_audit:
        yield Words(
            "没有盲审过的模型也不在承诺之内；继续盲审，再作承诺，则没有问题",
            "nor for another than the audited checkpoint; more looks may be added",
        )
    else:
        option = spelled("candidates", "N")
        yield Words(
            f"在同一批标注上反复试、挑满意的，承诺就不成立：要试几次，请写明 {option}",
            f"nor if it is made again on these labels until it suits: {option}",
        )


def _describe_corrections(proposal: Proposal) -> Iterator[str]:
    corrected = sum(finding.sample.corrected for finding in proposal.findings.values())
    if not corrected:
        return
    missed = spelled("missed_by_people", "W")
    yield (
        f"{corrected:,} labels were put right, all of groups that the model passes: wrong ones of"
        " failed groups that it does not pass still count as bad groups that stop. If a share W of"
        f" the failed groups is still wrong, 1 / (1 - W) times as many bad groups pass: {missed}"
        " allows for it"
    )
    yield (
        f"已更正 {corrected:,} 条人工结论，都是模型判通过的组；模型没有放行的组里，"
        "错判的“不合格”仍然算作拦下的不合格。"
        f"如果其中还有比例 W 是错的，真正的误放行会是 1 / (1 - W) 倍：{missed} 可以把它考虑进去"
    )


def _percent(share: Share) -> str:
    return "-" if share.value is None else f"{share.value:.1%}"
