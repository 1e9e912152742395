"""Tables of what can be promised: the threshold of each mission, and what more labels buy."""

from __future__ import annotations

import math
from typing import NamedTuple

from shenhe.promise.find import LABEL_COUNTS, Finding, expect_left
from shenhe.promise.propose import ALL, Proposal


class PromiseTable(NamedTuple):
    """A table of what can be promised, as text; two languages in each head.

    Example:
        thresholds, labels = promise_tables(proposal)

    """

    title: str
    head: list[str]
    rows: list[list[str]]


def promise_tables(proposal: Proposal) -> list[PromiseTable]:
    """Lay out the threshold of each mission, and what labels of further groups would buy.

    Example:
        for table in promise_tables(propose(Path("out"), Terms(Goal(0.05)))):
            print(table.title)

    """
    head = [
        "任务\nmission",
        "对数几率至少\nlog-odds from",
        "即 p_pass\nthat is p_pass",
        "人工判不合格\nfailed",
        "其中放行\nof them pass",
        "至多可放行\nmay pass",
        "留给人工\nleft to people",
        "组\ngroups",
    ]
    rows = [_promise_row(name, finding) for name, finding in proposal.named_findings().items()]
    tables = [PromiseTable("“通过”成立的条件 When a 通过 stands", head, rows)]
    if proposal.promised and proposal.terms.truth != "audit":
        tables.append(_labels_table(proposal))
    return tables


def describe_probability(log_odds: float) -> str:
    """Write log-odds as a probability, with enough digits to tell it from 1.

    >>> describe_probability(2.0), describe_probability(40.0)
    ('0.8808', '1 - 4.2e-18')
    """
    if log_odds <= 6:
        return f"{1 / (1 + math.exp(min(-log_odds, 700.0))):.4g}"
    return f"1 - {math.exp(-log_odds) / (1 + math.exp(-log_odds)):.2g}"


def _promise_row(name: str, finding: Finding) -> list[str]:
    counts = f"{finding.slipped:,}", "-" if finding.looks.en else f"{max(finding.allowed, 0):,}"
    left = finding.left_to_people
    if finding.threshold is None:
        return [name, "没有 none", "-", f"{finding.failed:,}", "-", "-", "-", f"{left.total:,}"]
    return [
        name,
        f"{finding.threshold:.4f}",
        describe_probability(finding.threshold),
        f"{finding.failed:,}",
        *counts,
        "-" if left.value is None else f"{left.value:.1%}",
        f"{left.total:,}",
    ]


def _labels_table(proposal: Proposal) -> PromiseTable:
    goal = proposal.terms.goal
    counts = sorted({goal.failed_needed, *(n for n in LABEL_COUNTS if n > goal.failed_needed)})
    zh, en = "", ""
    if proposal.clusters.largest > 1:
        zh, en = "（每簇一组）", ", one a cluster"
    pooled = proposal.pooled
    shown = proposal.findings if pooled is None else {ALL: pooled}
    rows = [
        [
            name,
            *(
                "没有 none" if share is None else f"{share:.1%}"
                for share in expect_left(finding, goal, counts).values()
            ),
        ]
        for name, finding in shown.items()
    ]
    head = f"人工判不合格的组{zh}\nfailed groups labelled{en}"
    return PromiseTable(
        "再多标一些，留给人工的 Left with more labels",
        [head, *(f"{count:,}" for count in counts)],
        rows,
    )
