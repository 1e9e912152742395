"""Stage-A over a photo tree: OUT/<mission>.jsonl, one row a group."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from shenhe.config import Mission, Template
from shenhe.engines.base import Engine
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.intake import PhotoTree
from shenhe.intake.choice import Chosen, GroupChoice
from shenhe.intake.fingerprints import with_fingerprints
from shenhe.locations import absolute, location_text
from shenhe.messages import Answer
from shenhe.row_types import Failure, RunMeta, SummaryRow, utc_now
from shenhe.rows.counts import RunCounts
from shenhe.rows.keys import rows_file
from shenhe.rows.problem_words import NOT_LOOKED_AT
from shenhe.rows.row_formats import formats_meta
from shenhe.rows.row_index import RowIndex
from shenhe.runs import photo_changes
from shenhe.runs.choosing import EXCLUDED, NotToDo
from shenhe.runs.row_parts import answer_meta, describe_left_out, group_failure
from shenhe.runs.run import OutputSpec, RunOptions, RunPlan, plan
from shenhe.runs.run import run as run_work
from shenhe.runs.work import (
    AnswerFormats,
    FinishedJob,
    Job,
    MissionBacklog,
    Record,
    Rejection,
    StaleRows,
    Work,
)
from shenhe.stages import summary
from shenhe.values import LEFT_OUT, Group, photo_key


class GroupBacklog(MissionBacklog[Group]):
    """The chosen groups of one mission in a photo tree."""

    def __init__(
        self, tree: PhotoTree, mission: Mission, choice: GroupChoice | None = None
    ) -> None:
        """Name the tree, and which of the mission's groups are chosen: by default all."""
        super().__init__()
        self.tree, self.mission = tree, mission
        self.choice = choice or GroupChoice()
        self._chosen: Container[str] | None = None

    @property
    def decisive_options(self) -> dict[str, object]:
        """The tree, its layout, and the choice."""
        return {
            "data_root": location_text(absolute(self.tree.data_root)),
            **self.tree.layout.decisive_options,
            **self.choice.decisive_options,
        }

    def pending(self, done: Container[str]) -> Iterator[Group]:
        """Yield the groups whose key is not in `done`; their photos are listed."""
        return self._groups(done, by_turns=False)

    def first_pending(self, done: Container[str], limit: int | None) -> Iterator[Group]:
        """Yield at most `limit` groups, of each label in turn: the first ones are all passed."""
        return islice(self._groups(done, by_turns=limit is not None), limit)

    def _groups(self, done: Container[str], *, by_turns: bool) -> Iterator[Group]:
        chosen = self._choose(done) if self._chosen is None else self._chosen
        notes = (self.passed_over, NotToDo(done, chosen), self.faults)
        return self.tree.groups(self.mission, *notes, by_turns=by_turns)

    def _choose(self, done: Container[str]) -> Chosen:
        return self.choice.choose(self.tree.group_ids(self.mission), self.mission.name, done)

    def find_stale(self, rows_path: Path, done: RowIndex) -> StaleRows:
        """Choose the groups, and find those whose photos or label have changed.

        Raises: IntakeError if the tree has no folder for the mission.
        """
        chosen = self._chosen = self._choose(done)
        self.total = chosen.total if chosen.keys is None else max(chosen.total, len(done))
        if chosen.excluded:
            self.passed_over[EXCLUDED] = chosen.excluded
        return photo_changes.find_changes(self.tree, self.mission, rows_path, done)

    def drop_obsolete_failures(self, rows_path: Path) -> None:
        """Drop the failures of groups whose folder is gone."""
        photo_changes.drop_obsolete_failures(self.tree, self.mission, rows_path)

    def size(self, item: Group) -> int:
        """Number of photos of a group."""
        return len(item.photos)


class SummaryWork(Work[Group, str]):
    """One request a photo; the lines of a group make one row."""

    rate_unit = "photos"

    def __init__(
        self,
        backlog: MissionBacklog[Group],
        template: Template,
        max_new_tokens: int,
        checkpoint: str,
        formats: TextFormats = PLAIN,
    ) -> None:
        self.backlog: MissionBacklog[Group] = backlog
        self._mission, self._template = backlog.mission, template
        self._max_new_tokens, self._checkpoint = max_new_tokens, checkpoint
        self.answers = AnswerFormats("summary", formats)
        self._formats, self._prompt_hash = formats, template.hash(backlog.mission)
        self.title, self.guidance = f"Stage-A {backlog.mission.name}", template.rules

    def decisive_options(self) -> dict[str, object]:
        """Where the groups come from, the mission, the prompt and the checkpoint."""
        return {
            "stage": "summarize",
            "mission": self._mission.name,
            **self.backlog.decisive_options,
            **options_of_summaries(
                self._prompt_hash, self._checkpoint, self._max_new_tokens, self._formats
            ),
        }

    def jobs(self, items: Iterator[Group]) -> Iterator[Job[Group] | Record]:
        """Yield a job a group, with its whole fingerprint; a group without a photo fails."""
        for group, inputs in with_fingerprints(items):
            requests = tuple(
                summary.request(
                    f"{group.key}\x1f{photo_key(index)}",
                    photo,
                    self._mission,
                    self._template,
                    self._max_new_tokens,
                    self._formats.summary,
                )
                for index, photo in enumerate(group.photos)
            )
            yield Job(replace(group, inputs=inputs), requests) if requests else _no_photos(group)

    def read(self, answer: Answer) -> str:
        """Read the line of a photo."""
        return summary.read(answer, self._formats.summary)

    def record(self, job: FinishedJob[Group, str]) -> Record:
        """Make the row of a group, or the failures of the photos that have no line."""
        group = job.item
        left_out = _left_out_failures(group)
        record = Record(
            group.key,
            failures=left_out,
            photos=len(job.outcomes),
            # The last photo of a request is its subject: examples precede it.
            sizes=[answer.sizes[-1] for answer in job.answers if answer.sizes],
        )
        if not job.rejections:
            row = self._row(job, why=[LEFT_OUT] if left_out else [])
            return replace(record, row=row, settled=not left_out, inputs_hash=group.inputs)
        failures = [
            group_failure(group, location_text(photo), outcome)
            for photo, outcome in zip(group.photos, job.outcomes, strict=True)
            if isinstance(outcome, Rejection)
        ]
        return replace(record, failures=[*failures, *left_out])

    def _row(self, job: FinishedJob[Group, str], why: list[str]) -> SummaryRow:
        group = job.item
        lines = {photo_key(index): line for index, line in enumerate(job.successes)}
        return SummaryRow(
            group_id=group.group_id,
            mission=group.mission,
            label=group.label,
            images=[location_text(photo) for photo in group.photos],
            per_image={key: line.value for key, line in lines.items()},
            timestamp=utc_now(),
            meta=RunMeta(
                prompt_hash=self._prompt_hash,
                checkpoint=self._checkpoint,
                inputs_hash=group.inputs,
                left_out=list(group.left_out),
                why=why,
                formats=formats_meta(self._formats),
                answers={key: answer_meta(line.answer) for key, line in lines.items()},
            ),
        )


def plan_summaries(
    tree: PhotoTree,
    mission: Mission,
    output_dir: Path,
    run: RunOptions,
    choice: GroupChoice | None = None,
) -> RunPlan:
    """Count what `run_summaries` would do, without a model.

    Raises: IntakeError, RunError.

        plan = plan_summaries(tree, mission, Path("out/stage_a"), RunOptions())
        print(plan.groups, plan.items, plan.already)
    """
    backlog = GroupBacklog(tree, mission, choice)
    return plan(backlog, OutputSpec(rows_file(output_dir, mission.name), run))


def run_summaries(
    engine: Engine,
    tree: PhotoTree,
    mission: Mission,
    template: Template,
    output_dir: Path,
    *,
    engine_options: Mapping[str, object],
    run: RunOptions,
    max_new_tokens: int = summary.MAX_NEW_TOKENS,
    choice: GroupChoice | None = None,
    formats: TextFormats = PLAIN,
) -> RunCounts:
    """Write the line of every photo of every chosen group without a row, or changed since.

    A group with a photo that failed gets no row, but a failure for each such photo. One that holds
    files which may be photos and are not read gets a row that lists them, and a failure `left_out`.
    Raises: RunError, EngineError, IntakeError; rows written so far stay valid.

        tree, mission = PhotoTree(Path("photos")), load_missions().get("BBU接地线检查")
        template, folder = load_prompts().summary, Path("out/stage_a")
        run_summaries(engine, tree, mission, template, folder, engine_options={}, run=RunOptions())
    """
    output = OutputSpec(rows_file(output_dir, mission.name), run, engine_options)
    backlog = GroupBacklog(tree, mission, choice)
    work = SummaryWork(backlog, template, max_new_tokens, engine.fingerprint, formats)
    return run_work(engine, work, output, run.observers)


def options_of_summaries(
    prompt_hash: str,
    checkpoint: str,
    max_new_tokens: int = summary.MAX_NEW_TOKENS,
    formats: TextFormats = PLAIN,
) -> dict[str, object]:
    """List what makes the lines of a mission beside the options of the engine."""
    return {
        "prompt_hash": prompt_hash,
        "checkpoint": checkpoint,
        "max_new_tokens": max_new_tokens,
        **formats.decisive_options,
    }


def _no_photos(group: Group) -> Record:
    """Make the failure of a group that cannot be read or has no photo."""
    rejection = Rejection("no_photos", f"group {group.group_id} has no photo", 1)
    if group.problem:
        rejection = Rejection(group.code, group.problem, 1)
    failure = group_failure(group, group.group_id, rejection)
    return Record(group.key, failures=[failure, *_left_out_failures(group)])


def _left_out_failures(group: Group) -> list[Failure]:
    """Make the failure of files in a group's folder that may be photos and are not read."""
    if not group.left_out:
        return []
    message = f"{NOT_LOOKED_AT.en}: {describe_left_out(group.left_out)}"
    return [group_failure(group, group.group_id, Rejection(LEFT_OUT, message, 1))]
