"""Scores of captions against truth, and of verdicts against labels."""

from shenhe.evaluation.captions import CaptionScores, count_problems, score_captions
from shenhe.evaluation.page import tables, write_page
from shenhe.evaluation.verdict_page import curves, svg, verdict_table, write_verdict_page
from shenhe.evaluation.verdicts import compare, score_verdicts
from shenhe.rows.outcomes import has_decisions, read_outcomes

__all__ = [
    "CaptionScores",
    "compare",
    "count_problems",
    "curves",
    "has_decisions",
    "read_outcomes",
    "score_captions",
    "score_verdicts",
    "svg",
    "tables",
    "verdict_table",
    "write_page",
    "write_verdict_page",
]
