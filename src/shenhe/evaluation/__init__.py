"""Scores of captions against truth, and of verdicts against labels."""

from shenhe.evaluation.captions import CaptionScores, count_problems, score_captions
from shenhe.evaluation.evidence import EvidenceSurvey, EvidenceTally
from shenhe.evaluation.evidence_page import (
    describe_limit,
    describe_survey,
    evidence_tables,
    write_evidence_page,
)
from shenhe.evaluation.evidence_survey import survey_evidence
from shenhe.evaluation.page import tables, write_page
from shenhe.evaluation.verdict_page import (
    curves,
    describe_scores,
    svg,
    verdict_table,
    write_verdict_page,
)
from shenhe.evaluation.verdicts import compare, score_verdicts
from shenhe.rows.outcomes import has_decisions, read_outcomes

__all__ = [
    "CaptionScores",
    "EvidenceSurvey",
    "EvidenceTally",
    "compare",
    "count_problems",
    "curves",
    "describe_limit",
    "describe_scores",
    "describe_survey",
    "evidence_tables",
    "has_decisions",
    "read_outcomes",
    "score_captions",
    "score_verdicts",
    "survey_evidence",
    "svg",
    "tables",
    "verdict_table",
    "write_evidence_page",
    "write_page",
    "write_verdict_page",
]
