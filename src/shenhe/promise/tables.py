"""Tables of what can be promised: the threshold of each mission, and what more labels buy."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from shenhe.promise.find import LABEL_COUNTS, Finding, expect_left
from shenhe.promise.propose import ALL, Proposal
from shenhe.rows.words import GROUPS, MISSION, Words

HEAD: Final = (
    MISSION,
    Words("对数几率至少", "log-odds from"),
    Words("即 p_pass", "that is p_pass"),
    Words("人工判不合格", "failed"),
    Words("其中放行", "of them pass"),
    Words("至多可放行", "may pass"),
    Words("留给人工", "left to people"),
    GROUPS,
)
NONE: Final = Words("没有", "none")


class PromiseTable(NamedTuple):
    """A table of what can be promised, as text in the language that is spoken.

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
    head = [words.spoken("\n") for words in HEAD]
    rows = [_promise_row(name, finding) for name, finding in proposal.named_findings().items()]
    title = Words("“通过”成立的条件", "When a 通过 stands")
    tables = [PromiseTable(title.spoken(), head, rows)]
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
        return [name, NONE.spoken(), "-", f"{finding.failed:,}", "-", "-", "-", f"{left.total:,}"]
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
                NONE.spoken() if share is None else f"{share:.1%}"
                for share in expect_left(finding, goal, counts).values()
            ),
        ]
        for name, finding in shown.items()
    ]
    head = Words(f"人工判不合格的组{zh}", f"failed groups labelled{en}")
    title = Words("再多判一些，留给人工的", "Left with more labels")
    return PromiseTable(
        title.spoken(), [head.spoken("\n"), *(f"{count:,}" for count in counts)], rows
    )
