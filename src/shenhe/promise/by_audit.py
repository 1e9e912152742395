"""Promises on a blind audit: a random part of what passed was looked at, and all the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from shenhe.errors import RunError
from shenhe.promise.audit_rows import read_looks
from shenhe.promise.audited import Looks
from shenhe.promise.find import NOTHING, Finding, describe_mixture, share_left
from shenhe.promise.ladder import loosen
from shenhe.promise.sample import Sample
from shenhe.promise.threshold import Goal
from shenhe.proportions import Share
from shenhe.rows.words import Words


def read_audited(run_dir: Path) -> list[Looks]:
    """Read what people found of the audited groups of a run.

    Raises: RunError if it has no audit, or its rows, decisions or audit cannot be read.
    """
    reading = read_looks([run_dir])
    if reading.without_plan:
        raise RunError(
            f"{run_dir}: has no blind audit: draw one in `shenhe review`, or take labels"
        )
    return reading.looks


def find_by_audit(sample: Sample, looks: Sequence[Looks], goal: Goal) -> Finding:
    """Find the lowest threshold that the looks at a mission's groups certify.

    It holds however often it is looked for as looks come in.
    """
    looked, passed = sum(each.looked for each in looks), sum(each.passed for each in looks)
    false = sum(each.false for each in looks)
    described = Words(
        f"机器放行的 {passed:,} 组里盲审了 {looked:,} 组，{false:,} 组不合格",
        f"{looked:,} of {passed:,} passed groups were looked at blind, {false:,} are bad",
    )
    threshold, problem = None, NOTHING
    if sample.is_mixed:
        problem = describe_mixture(sample)
    else:
        threshold = loosen(looks, goal.share, 1 - goal.risk)
        if threshold is not None and sample.cut_blindly:
            threshold = max(threshold, sample.lowest_passed)
        if threshold is None:
            problem = Words(
                f"{described.zh}；还证实不了什么：请多审一些",
                f"{described.en}: that certifies nothing yet: look at more",
            )
    above = math.inf if threshold is None else threshold
    slips = [each for look in looks for each in (*look.false_odds, *look.held_confirmed)]
    slipped = sum(each >= above for each in slips)
    failed = sum(each.false + each.doubts + each.stopped for each in looks)
    all_slipped, left = Share(slipped, failed), share_left(sample, above)
    return Finding(sample, threshold, problem, failed, slipped, -1, all_slipped, left, described)
