"""What the files of both stages hold of a job that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shenhe.row_types import Failure, Row, RunMeta, SummaryRow
from shenhe.runs.incomplete import gather_incomplete
from shenhe.runs.row_parts import group_failure
from shenhe.runs.work import Record, Rejection
from shenhe.service.jobs import Job
from shenhe.service.judging import MissionWorks
from shenhe.service.rows_file import GroupRecord
from shenhe.values import Group

JOB_FAILED: Final = "job_failed"
"""Code of the failure of a job that could not be worked on at all."""


def lines_of_job(job: Job, works: MissionWorks) -> GroupRecord:
    """Make the record of Stage-A: the lines of the photos, or why there are none."""
    row = job.result.summary if job.result else None
    meta, failures = (row.meta if row else None), _failures_of_lines(job, works)
    is_settled = row is not None and not row.meta.left_out
    return _record(job, works, row, meta, failures, is_settled=is_settled)


def verdict_of_job(job: Job, works: MissionWorks) -> GroupRecord:
    """Make the record of Stage-B: the verdict; one of a job that failed is undecided."""
    if job.result is None:
        (incomplete,) = gather_incomplete(_failures_of_lines(job, works))
        record = works.verdicts.record_incomplete(incomplete)
        return GroupRecord(works.mission.name, job.new.group_id, record)
    row = job.result.verdict
    is_settled = row.status == "decided"
    failures = () if is_settled else job.result.failures[-1:]
    return _record(job, works, row, row.meta, failures, is_settled=is_settled)


def _record(
    job: Job,
    works: MissionWorks,
    row: Row | None,
    meta: RunMeta | None,
    failures: Sequence[Failure],
    *,
    is_settled: bool,
) -> GroupRecord:
    record = Record(
        _group_of(job, works).key,
        row,
        failures,
        settled=is_settled,
        inputs_hash=meta.inputs_hash if meta else None,
        photos=len(row.images) if isinstance(row, SummaryRow) else 0,
    )
    answers = tuple(meta.answers.values()) if meta else ()
    return GroupRecord(works.mission.name, job.new.group_id, record, answers)


def _failures_of_lines(job: Job, works: MissionWorks) -> Sequence[Failure]:
    """Give the failures of Stage-A; that of an undecided verdict is the last of a job."""
    if job.result is None:
        rejection = Rejection(JOB_FAILED, job.problem, max(1, job.attempts))
        return (group_failure(_group_of(job, works), job.new.group_id, rejection),)
    is_undecided = job.result.verdict.status == "undecided"
    return job.result.failures[:-1] if is_undecided else job.result.failures


def _group_of(job: Job, works: MissionWorks) -> Group:
    return Group(job.new.group_id, works.mission.name, job.new.label, ())
