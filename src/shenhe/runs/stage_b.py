"""Stage-B over Stage-A rows: OUT/<mission>.jsonl, one verdict a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from shenhe.config import Template
from shenhe.engines.base import Engine
from shenhe.errors import FormatError
from shenhe.locations import location_text
from shenhe.messages import Answer
from shenhe.row_types import SummaryRow
from shenhe.rows.counts import RunCounts
from shenhe.rows.keys import rows_file
from shenhe.rows.row_index import RowIndex
from shenhe.rows.verdict_inputs import describe_missing_lines
from shenhe.runs.row_parts import describe_left_out
from shenhe.runs.run import OutputSpec, RunOptions, RunPlan, plan
from shenhe.runs.run import run as run_work
from shenhe.runs.stage_a_source import StageASource, SummaryBacklog
from shenhe.runs.verdict_policy import VerdictPolicy
from shenhe.runs.verdict_rows import VerdictRecords, group_of, left_out_codes, lines_hash_of
from shenhe.runs.work import FinishedJob, Job, Record, Rejection, Work
from shenhe.stages import verdict
from shenhe.values import DUPLICATE_GROUP, FORMAT, STAGE_A_INCOMPLETE, UNDECIDED_CODES, Judgement

_INCOMPLETE = "第一阶段未完成"


class VerdictWork(Work[SummaryRow, Judgement]):
    """As many requests a group as there are votes; they make one verdict."""

    def __init__(
        self,
        backlog: SummaryBacklog,
        template: Template,
        policy: VerdictPolicy,
        max_new_tokens: int,
        checkpoint: str,
    ) -> None:
        self.backlog: SummaryBacklog = backlog
        self._mission, self._template = backlog.source.mission, template
        self._policy, self._max_new_tokens = policy, max_new_tokens
        self._records = VerdictRecords(template.hash(self._mission), checkpoint)
        self.title = f"Stage-B {self._mission.name}"

    def decisive_options(self) -> dict[str, object]:
        """The policy, the rows of Stage-A, the prompt and the checkpoint."""
        return {
            **self._policy.decisive_options,
            "stage": "judge",
            "stage_a": location_text(self.backlog.source.path.absolute()),
            "mission": self._mission.name,
            "prompt_hash": self._records.prompt_hash,
            "checkpoint": self._records.checkpoint,
            "max_new_tokens": self._max_new_tokens,
        }

    def jobs(self, items: Iterator[SummaryRow]) -> Iterator[Job[SummaryRow] | Record]:
        """Yield a job a group; one that cannot be judged is undecided."""
        for row in items:
            yield self._contradiction(row) or self._gap(row) or self._job(row)

    def read(self, answer: Answer) -> Judgement:
        """Read a verdict."""
        return verdict.read(answer)

    def record(self, job: FinishedJob[SummaryRow, Judgement]) -> Record:
        """Make the verdict of a group, which holds only if the group was looked at whole."""
        row, result = job.item, self._policy.count_votes(job.outcomes)
        # The lines show neither faults nor parts on files that were left out.
        codes = left_out_codes(row)
        unread = f"未查看: {describe_left_out(row.meta.left_out)}" if codes else ""
        if result.rejection is not None:
            rejection = _with_public_code(result.rejection)
            if codes:
                rejection = replace(rejection, message=f"{unread}; {rejection.message}")
            return self._records.rejected(row, rejection, [*codes, rejection.code])
        if codes:
            ruling = result.judgement.verdict if result.judgement else ""
            rejection = Rejection(codes[0], f"{ruling}, 但{unread}", 1, result.answer)
            return self._records.rejected(row, rejection, codes)
        return self._records.decided(row, result.judgement, result.answer)

    def closing_records(self, done: RowIndex) -> Iterator[Record]:
        """Yield the groups without lines, which are undecided."""
        for group, codes, failed_items in self.backlog.incomplete_groups(done):
            reason = f"{_INCOMPLETE}: {failed_items}"
            yield self._records.unanswerable(group, reason, codes)
        yield from self.backlog.bad_rows(done)

    def _contradiction(self, row: SummaryRow) -> Record | None:
        """Refuse a group whose rows have different lines."""
        rows = self.backlog.repeated.get(row.key)
        if rows is None or not rows.differ:
            return None
        group = group_of(row)
        return self._records.unanswerable(
            group, rows.description, [DUPLICATE_GROUP], rows.inputs_hash
        )

    def _gap(self, row: SummaryRow) -> Record | None:
        """Refuse a group without one line a photo."""
        gap = describe_missing_lines(len(row.images), row.per_image)
        if not gap:
            return None
        repeats = self.backlog.repeated.get(row.key)
        inputs_hash = repeats.inputs_hash if repeats else lines_hash_of(row)
        codes = [STAGE_A_INCOMPLETE, *left_out_codes(row)]
        reason = f"{_INCOMPLETE}: {gap}"
        return self._records.unanswerable(group_of(row), reason, codes, inputs_hash)

    def _job(self, row: SummaryRow) -> Job[SummaryRow] | Record:
        try:
            request = verdict.request(
                row.key, row.per_image, self._mission, self._template, self._max_new_tokens
            )
        except FormatError as error:
            rejection = Rejection(error.code, f"a Stage-A line is no summary: {error}", 1)
            return self._records.rejected(row, rejection, [error.code, *left_out_codes(row)])
        return Job(row, self._policy.requests_for_votes(request))


def plan_verdicts(
    source: StageASource, output_dir: Path, run: RunOptions, policy: VerdictPolicy | None = None
) -> RunPlan:
    """Count what `run_verdicts` would do, without a model.

    Raises: RunError.

        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            print(plan_verdicts(source, Path("out/stage_b"), RunOptions()).groups)
    """
    backlog = SummaryBacklog(source, policy or VerdictPolicy())
    return plan(backlog, OutputSpec(rows_file(output_dir, source.mission.name), run))


def run_verdicts(
    engine: Engine,
    source: StageASource,
    template: Template,
    output_dir: Path,
    *,
    engine_options: Mapping[str, object],
    run: RunOptions,
    max_new_tokens: int = verdict.MAX_NEW_TOKENS,
    policy: VerdictPolicy | None = None,
) -> RunCounts:
    """Write the verdict of every group that has none, or has one on other lines than now.

    Undecided are a group whose Stage-A is incomplete, one with several rows of different lines, one
    that was not looked at whole, and one whose verdict cannot be read.
    Raises: RunError, EngineError; rows written so far stay valid.

        template, folder = load_prompts().verdict, Path("out/stage_b")
        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            run_verdicts(engine, source, template, folder, engine_options={}, run=RunOptions())
    """
    policy = policy or VerdictPolicy()
    output = OutputSpec(rows_file(output_dir, source.mission.name), run, engine_options)
    backlog = SummaryBacklog(source, policy)
    work = VerdictWork(backlog, template, policy, max_new_tokens, engine.fingerprint)
    return run_work(engine, work, output, run.observers)


def _with_public_code(rejection: Rejection) -> Rejection:
    """Give an answer that breaks the format the one code for that; its own goes to the message."""
    if rejection.answer is None or rejection.code in UNDECIDED_CODES:
        return rejection
    return replace(rejection, code=FORMAT, message=f"{rejection.code}: {rejection.message}")
