"""What is printed of a promise: what it bounds, for whom, what it rests on and what breaks it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from shenhe.errors import spelled
from shenhe.promise.find import LABEL_COUNTS, Finding, expect_left
from shenhe.promise.propose import BY_PHOTOS, NO_CLUSTERS, Proposal
from shenhe.promise.threshold import Goal
from shenhe.proportions import Share


def describe(proposal: Proposal) -> list[str]:
    r"""Describe what can be promised of a run, a sentence or two a line.

    Example:
        print(*describe(propose(Path("out"), Terms(Goal(0.05)))), sep="\n")

    """
    goal = proposal.terms.goal
    lines = list(_describe_goal(goal))
    if proposal.pooled is not None:
        lines.append(f"all missions together: {describe_finding(proposal.pooled, goal)}")
    lines += [
        f"{mission}: {describe_finding(finding, goal)}"
        for mission, finding in proposal.findings.items()
    ]
    if proposal.promised and proposal.terms.truth != "audit":
        lines += _describe_labels(proposal)
    return [*lines, *_describe_notes(proposal)]


def describe_finding(finding: Finding, goal: Goal) -> str:
    """Describe what can be promised of a mission.

    Example:
        line = describe_finding(proposal.findings["挡风板安装检查"], Goal(0.05))

    """
    if finding.threshold is None:
        parts = [f"no promise, so no 通过 stands: {finding.problem}"]
    else:
        parts = [
            f"a 通过 stands from log-odds {finding.threshold!r} on (p_pass"
            f" {describe_probability(finding.threshold)})",
            finding.looks
            or f"of {finding.failed:,} failed groups {finding.slipped:,} pass,"
            f" {max(finding.allowed, 0):,} may",
            f"{_percent(finding.left_to_people)} of {finding.left_to_people.total:,} groups are"
            " left to people",
        ]
        if not finding.looks and finding.all_slipped.total != finding.failed:
            parts.append(
                f"of all {finding.all_slipped.total:,} failed groups, several of a cluster,"
                f" {_percent(finding.all_slipped)} pass"
            )
    return "; ".join([*parts, *_describe_sample(finding)])


def describe_probability(log_odds: float) -> str:
    """Write log-odds as a probability, with enough digits to tell it from 1.

    >>> describe_probability(2.0), describe_probability(40.0)
    ('0.8807970779778823', '1 - 4.2484e-18')
    """
    if log_odds <= 12:
        return repr(1 / (1 + math.exp(min(-log_odds, 700.0))))
    return f"1 - {math.exp(-log_odds) / (1 + math.exp(-log_odds)):.5g}"


def _describe_goal(goal: Goal) -> Iterator[str]:
    share, risk = f"{100 * goal.max_false_pass:.3g}%", f"{100 * (1 - goal.confidence):.3g}"
    yield (
        f"at most {share} of the groups that people fail may pass; each mission's promise is broken"
        f" in at most {risk} of 100 samples of groups drawn like the labelled ones"
    )
    yield (
        f"在人工判不合格的组中，放行的不超过 {share}（每个任务分别承诺；从同类组中抽样，100 次里"
        f"至多 {risk} 次不成立）。这不是放行组中不合格的比例"
    )
    if goal.missed:
        yield (
            f"people are taken to overlook at most {100 * goal.missed:.3g}% of the bad groups that"
            f" the model passes: of those that they fail {100 * goal.share:.3g}% may pass"
        )
    if goal.candidates > 1:
        yield (
            f"{goal.candidates} candidates share the risk: each is"
            f" {100 * (1 - goal.risk):.4g}% sure"
        )


def _describe_sample(finding: Finding) -> Iterator[str]:
    sample = finding.sample
    if sample.unreadable:
        failed = len(sample.failed) + sample.unreadable
        of_all = Share(finding.all_slipped.count, failed)
        yield (
            f"{sample.unreadable:,} failed groups could not be judged and are left out of the rate:"
            f" {_percent(finding.all_slipped)} of the {len(sample.failed):,} that could,"
            f" {_percent(of_all)} of all {failed:,}"
        )
    if sample.scoreless:
        yield f"{sample.scoreless:,} 通过 without a p_pass from 0 to 1 never pass"
    if sample.cut and finding.threshold is not None and not finding.looks:
        yield (
            f"{sample.cut:,} groups are undecided by a threshold of the run, or do not say by what:"
            " the promise is not below it (`shenhe decide` without a threshold, then promise on"
            " what that writes, to go lower)"
        )
    if sample.unseen and finding.threshold is not None:
        yield (
            f"{sample.unseen:,} groups that pass have no decision: the promise stays above all of"
            " them"
        )
    if sample.deferred:
        yield f"{sample.deferred:,} groups with 待定 count as failed where the model passes them"
    if sample.in_training:
        yield f"{sample.in_training:,} groups have a photo of a training row and are left out"


def _describe_labels(proposal: Proposal) -> Iterator[str]:
    goal = proposal.terms.goal
    counts = sorted({goal.failed_needed, *(n for n in LABEL_COUNTS if n > goal.failed_needed)})
    clusters = ", one a cluster" if proposal.clusters.largest > 1 else ""
    yield f"left to people, had so many failed groups been labelled{clusters}:"
    shown = {"all missions together": proposal.pooled} if proposal.pooled else proposal.findings
    for mission, finding in shown.items():
        left = expect_left(finding, goal, counts)
        shares = (f"{n:,}: {'none' if s is None else f'{s:.1%}'}" for n, s in left.items())
        yield f"  {mission}: {', '.join(shares)}"


def _describe_notes(proposal: Proposal) -> Iterator[str]:
    terms, findings = proposal.terms, proposal.findings.values()
    if proposal.unended:
        yield (
            f"judging of {', '.join(proposal.unended)} has not ended: groups that are yet to be"
            " judged may be of another kind"
        )
    yield from _describe_corrections(proposal)
    yield from proposal.clusters.notes
    if proposal.clusters.largest > 1 and terms.cluster != NO_CLUSTERS:
        shared = "photos" if terms.cluster == BY_PHOTOS else terms.cluster
        yield (
            f"failed groups that share {shared} count once, by a random one of them that their keys"
            f" decide: up to {proposal.clusters.largest:,} do; so the promise is about a random"
            " failed group of a random cluster"
        )
    if proposal.ties and terms.cluster == BY_PHOTOS:
        names = ", ".join(f"{name} ({count:,} values)" for name, count in proposal.ties.items())
        yield (
            f"failed groups have fields in common: {names}; if one of them is the site, say so:"
            f" {spelled('cluster', next(iter(proposal.ties)))}"
        )
    yield from proposal.training.notes
    if proposal.pooled is not None:
        yield "one threshold for all missions promises nothing of any one of them: see their rates"
    if any(origin.evidence is None for f in findings for origin in f.sample.origins):
        yield (
            "rows were made without evidence rules, and a run with rules refuses this promise:"
            f" first `shenhe decide {proposal.run_dir} {spelled('output_dir', 'OUT')}`, then"
            " promise on OUT"
        )
    if proposal.promised:
        again = f"if it is made again on these labels until it suits: {spelled('candidates', 'N')}"
        if terms.truth == "audit":
            again = "if another than the audited checkpoint is promised; more looks may be added"
        yield (
            "it does not hold for groups of another kind, with another checkpoint, prompt or rule,"
            f" where people overlook bad groups, or {again}"
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
    return "none" if share.value is None else f"{share.value:.1%}"
