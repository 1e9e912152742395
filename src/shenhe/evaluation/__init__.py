"""How good captions are: against truth, geometry and words apart and together."""

from shenhe.evaluation.captions import CaptionScores, count_problems, score_captions
from shenhe.evaluation.page import tables, write_page

__all__ = ["CaptionScores", "count_problems", "score_captions", "tables", "write_page"]
