"""Runs: a stage through an engine, with order, retries, resume and observers."""

from shenhe.rows.counts import RunCounts
from shenhe.runs.captions import plan_captions, run_captions
from shenhe.runs.run import RunOptions
from shenhe.runs.stage_a import plan_summaries, run_summaries
from shenhe.runs.stage_a_source import find_stage_a
from shenhe.runs.stage_b import plan_verdicts, run_verdicts
from shenhe.runs.summary_backlog import choose_verdicts
from shenhe.runs.verdict_policy import VerdictPolicy

__all__ = [
    "RunCounts",
    "RunOptions",
    "VerdictPolicy",
    "choose_verdicts",
    "find_stage_a",
    "plan_captions",
    "plan_summaries",
    "plan_verdicts",
    "run_captions",
    "run_summaries",
    "run_verdicts",
]
