"""Stage-B over Stage-A rows: OUT/<mission>.jsonl, one verdict a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from shenhe.config import Template
from shenhe.engines.base import Engine
from shenhe.errors import FormatError
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.intake.choice import GroupChoice
from shenhe.messages import Answer
from shenhe.photos.reuse import ReuseIndex
from shenhe.row_types import SummaryRow
from shenhe.rows.counts import RunCounts
from shenhe.rows.keys import rows_file
from shenhe.rows.row_index import RowIndex
from shenhe.rows.verdict_inputs import describe_gap
from shenhe.runs.deciding import (
    Doubt,
    MissionPolicy,
    incomplete_doubt,
    left_out_doubts,
    policy_of_mission,
)
from shenhe.runs.engine_options import with_budget
from shenhe.runs.incomplete import IncompleteGroup
from shenhe.runs.lines_backlog import LinesBacklog
from shenhe.runs.run import OutputSpec, RunOptions, RunPlan, check, plan
from shenhe.runs.run import run as run_work
from shenhe.runs.stage_a_source import StageASource
from shenhe.runs.summary_backlog import SummaryBacklog
from shenhe.runs.verdict_policy import VerdictPolicy, VoteResult
from shenhe.runs.verdict_rows import VerdictRecords, group_of, lines_hash_of
from shenhe.runs.work import AnswerFormats, FinishedJob, Job, Record, Rejection, Work
from shenhe.stages import verdict
from shenhe.values import DUPLICATE_GROUP, FORMAT, STAGE_A_INCOMPLETE, UNDECIDED_CODES, Judgement


class VerdictWork(Work[SummaryRow, Judgement]):
    """As many requests a group as there are votes; they make one verdict."""

    def __init__(
        self,
        backlog: LinesBacklog,
        template: Template,
        policy: MissionPolicy,
        max_new_tokens: int,
        checkpoint: str,
        formats: TextFormats = PLAIN,
    ) -> None:
        self.backlog: LinesBacklog = backlog
        self._mission, self._template = backlog.mission, template
        self._policy, self._max_new_tokens, self._formats = policy, max_new_tokens, formats
        self.answers = AnswerFormats("verdict", formats)
        self._records = VerdictRecords(template.hash(self._mission), checkpoint, policy, formats)
        self.title, self.guidance = f"Stage-B {self._mission.name}", template.rules

    def decisive_options(self) -> dict[str, object]:
        """The policy, where the lines come from, the prompt and the checkpoint."""
        return {
            "stage": "judge",
            "mission": self._mission.name,
            **self.backlog.decisive_options,
            **options_of_verdicts(
                self._policy,
                self._records.prompt_hash,
                self._records.checkpoint,
                self._max_new_tokens,
                self._formats,
            ),
        }

    def jobs(self, items: Iterator[SummaryRow]) -> Iterator[Job[SummaryRow] | Record]:
        """Yield a job a group; one that cannot be judged is undecided."""
        for row in items:
            yield self._repeat(row) or self._gap(row) or self._job(row)

    def read(self, answer: Answer) -> Judgement:
        """Read a verdict."""
        return verdict.read(answer, self._formats.verdict)

    def record(self, job: FinishedJob[SummaryRow, Judgement]) -> Record:
        """Make the verdict of a group, which holds only if the group was looked at whole."""
        result = self._policy.policy.count_votes(job.outcomes)
        if result.rejection is not None:
            result = result._replace(rejection=_with_public_code(result.rejection))
        return self._records.judged(job.item, result)

    def closing_records(self, done: RowIndex) -> Iterator[Record]:
        """Yield the groups without lines, which are undecided."""
        yield from map(self.record_incomplete, self.backlog.incomplete_groups(done))
        yield from self.backlog.bad_rows(done)

    def record_incomplete(self, incomplete: IncompleteGroup) -> Record:
        """Make the verdict of a group without lines, which is undecided."""
        group, codes, failed_items = incomplete
        doubts = [incomplete_doubt(failed_items)]
        doubts += [Doubt(code, "") for code in codes if code != STAGE_A_INCOMPLETE]
        return self._records.unanswerable(group, doubts)

    def _repeat(self, row: SummaryRow) -> Record | None:
        """Refuse a group whose rows have different lines."""
        rows = self.backlog.repeated.get(row.key)
        if rows is None or not rows.differ:
            return None
        doubts = [Doubt(DUPLICATE_GROUP, rows.description)]
        return self._records.unanswerable(
            group_of(row), doubts, inputs_hash=rows.inputs_hash, extra=row.extra
        )

    def _gap(self, row: SummaryRow) -> Record | None:
        """Refuse a group without one line a photo."""
        gap = describe_gap(row)
        if not gap:
            return None
        repeats = self.backlog.repeated.get(row.key)
        inputs_hash = repeats.inputs_hash if repeats else lines_hash_of(row)
        doubts = [incomplete_doubt(gap), *left_out_doubts(None, row.meta.left_out)]
        doubts += self._policy.reuse_doubts(row)
        return self._records.unanswerable(
            group_of(row), doubts, row.per_image, inputs_hash, row.extra
        )

    def _job(self, row: SummaryRow) -> Job[SummaryRow] | Record:
        try:
            request = verdict.request(
                row.key,
                row.per_image,
                self._mission,
                self._template,
                self._max_new_tokens,
                self._formats,
            )
        except FormatError as error:
            rejection = Rejection(error.code, f"a Stage-A line is no summary: {error}", 1)
            return self._records.judged(row, VoteResult(None, None, rejection))
        return Job(row, self._policy.policy.requests_for_votes(request))


def plan_verdicts(
    source: StageASource,
    output_dir: Path,
    run: RunOptions,
    policy: VerdictPolicy | None = None,
    choice: GroupChoice | None = None,
) -> RunPlan:
    """Count what `run_verdicts` would do, without a model.

    Raises: RunError.

        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            print(plan_verdicts(source, Path("out/stage_b"), RunOptions()).groups)
    """
    backlog = SummaryBacklog(source, policy or VerdictPolicy(), choice)
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
    choice: GroupChoice | None = None,
    reuse: ReuseIndex | None = None,
    formats: TextFormats = PLAIN,
) -> RunCounts:
    """Write the verdict of every chosen group that has none, or has one on other lines than now.

    Undecided are a group whose Stage-A is incomplete, one with several rows of different lines, one
    that was not looked at whole, one whose verdict cannot be read or misses its threshold, and a
    通过 that the lines, or its own reason, speak against; with a policy that says so, one whose
    photo another work order has, by `reuse`, the index of the photos of all.
    Raises: RunError, EngineError; rows written so far stay valid.

        template, folder = load_prompts().verdict, Path("out/stage_b")
        for source in find_stage_a(Path("out/stage_a"), load_missions()):
            run_verdicts(engine, source, template, folder, engine_options={}, run=RunOptions())
    """
    output = OutputSpec(rows_file(output_dir, source.mission.name), run, engine_options)
    policy = policy or VerdictPolicy()
    of_mission = policy_of_mission(policy, source.mission.name, source.mission.evidence, reuse)
    backlog = SummaryBacklog(source, policy, choice, of_mission.reuse_doubts if reuse else None)
    work = VerdictWork(backlog, template, of_mission, max_new_tokens, engine.fingerprint, formats)
    return run_work(engine, work, output, run.observers)


def check_verdicts(
    engine: Engine,
    source: StageASource,
    template: Template,
    output_dir: Path,
    *,
    engine_options: Mapping[str, object],
    run: RunOptions,
    policy: VerdictPolicy,
    formats: TextFormats = PLAIN,
) -> None:
    """Refuse verdicts that were begun with other options, before their Stage-A goes on.

    Raises: OptionsChangedError; RunError for a manifest that cannot be read.
    """
    options = with_budget(engine_options, engine)
    output = OutputSpec(rows_file(output_dir, source.mission.name), run, options)
    if output.rows_path.exists() and source.path.exists():
        backlog, tokens = SummaryBacklog(source, policy), verdict.MAX_NEW_TOKENS
        of_mission = policy_of_mission(policy, source.mission.name, source.mission.evidence)
        work = VerdictWork(backlog, template, of_mission, tokens, engine.fingerprint, formats)
        check(work, output)


def options_of_verdicts(
    policy: MissionPolicy,
    prompt_hash: str,
    checkpoint: str,
    max_new_tokens: int = verdict.MAX_NEW_TOKENS,
    formats: TextFormats = PLAIN,
) -> dict[str, object]:
    """List what makes the verdicts of a mission beside the options of the engine."""
    return {
        **policy.decisive_options,
        "prompt_hash": prompt_hash,
        "checkpoint": checkpoint,
        "max_new_tokens": max_new_tokens,
        **formats.decisive_options,
    }


def _with_public_code(rejection: Rejection) -> Rejection:
    """Give an answer that breaks the format the one code for that; its own goes to the message."""
    if rejection.answer is None or rejection.code in UNDECIDED_CODES:
        return rejection
    return replace(rejection, code=FORMAT, message=f"{rejection.code}: {rejection.message}")
