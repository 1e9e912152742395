"""Drive a stage through an engine: order, retry, append, resume, progress."""

from shenhe.rows.counts import RunCounts
from shenhe.runs.captions import plan_captions, run_captions
from shenhe.runs.drive import drive
from shenhe.runs.options import RunOptions
from shenhe.runs.stage_a import plan_summaries, run_summaries
from shenhe.runs.stage_b import find_stage_a, plan_verdicts, run_verdicts
from shenhe.runs.verdict_policy import VerdictPolicy

__all__ = [
    "RunCounts",
    "RunOptions",
    "VerdictPolicy",
    "drive",
    "find_stage_a",
    "plan_captions",
    "plan_summaries",
    "plan_verdicts",
    "run_captions",
    "run_summaries",
    "run_verdicts",
]
