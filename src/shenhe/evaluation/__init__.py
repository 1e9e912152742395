"""How good captions are against truth, and verdicts against labels."""

from shenhe.evaluation.captions import CaptionScores, count_problems, score_captions
from shenhe.evaluation.page import tables, write_page
from shenhe.evaluation.verdicts import (
    choose_threshold,
    compare,
    read_outcomes,
    score_verdicts,
)

__all__ = [
    "CaptionScores",
    "choose_threshold",
    "compare",
    "count_problems",
    "read_outcomes",
    "score_captions",
    "score_verdicts",
    "tables",
    "write_page",
]
