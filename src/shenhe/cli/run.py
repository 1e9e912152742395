"""`shenhe run`: Stage-A and Stage-B of all missions, then the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.cli.loading import LoadOptions, decisive_options, make_engine
from shenhe.cli.results import (
    print_plan,
    print_problems,
    print_stage,
    print_unknown_folders,
    tell_without_rules,
)
from shenhe.cli.reuse import missions_option, opened_reuse
from shenhe.cli.values import PhotoLocation
from shenhe.cli.work import (
    DATA_ROOT_HELP,
    ROWS_HELP,
    ChoiceOptions,
    PolicyOptions,
    TeachingOptions,
    TreeOptions,
    WorkOptions,
    check_promise,
    choice_of,
    layout_of,
    run_options,
    teaching_of,
    tell_choice,
    verdict_policy,
)
from shenhe.errors import IntakeError
from shenhe.options import option, option_class, section
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.config import Mission, Missions, Prompts, Teaching
    from shenhe.engines.base import Engine
    from shenhe.formats.text_formats import TextFormats
    from shenhe.intake import GroupChoice, PhotoTree
    from shenhe.intake.choice import Chosen
    from shenhe.report import RunReading
    from shenhe.runs import RunOptions, VerdictPolicy


@option_class
class RunCommandOptions:
    """Options of both stages."""

    load: LoadOptions = section("model")
    data_root: PhotoLocation = option(DATA_ROOT_HELP, metavar="DIR")
    mission: tuple[str, ...] = missions_option()
    output_dir: Path = option(ROWS_HELP, metavar="DIR")
    policy: PolicyOptions = section("deciding", default=PolicyOptions())
    teaching: TeachingOptions = section(default=TeachingOptions())
    layout: TreeOptions = section("photo tree", default=TreeOptions())
    choice: ChoiceOptions = section("groups", default=ChoiceOptions())
    work: WorkOptions = section("work", default=WorkOptions())

    @property
    def stage_a(self) -> Path:
        """The folder of Stage-A's rows."""
        return self.output_dir / "stage_a"

    @property
    def stage_b(self) -> Path:
        """The folder of Stage-B's rows."""
        return self.output_dir / "stage_b"


def run(options: RunCommandOptions) -> int:
    """Write the lines of all photos, then the verdicts of all groups, then the report."""
    from shenhe.config import load_formats, load_missions, load_prompts
    from shenhe.intake import PhotoTree
    from shenhe.report import read_run, write_report
    from shenhe.shards import list_rows_files

    config = options.load.config
    missions, formats = load_missions(config.missions), load_formats(config.formats)
    prompts = load_prompts(config.prompts, formats)
    tree = PhotoTree(options.data_root, layout_of(options.layout))
    choice = choice_of(options.choice, options.load.seed)
    chosen = [missions.get(name) for name in options.mission] or tree.missions(missions)
    if not chosen:
        raise tree.no_mission_error(missions)
    codes = [print_unknown_folders(tree, missions)]
    how = run_options(options.work)
    policy = verdict_policy(options.policy, options.policy.votes)
    teaching = teaching_of(options.teaching, missions, formats)
    by_mission, code = _choose_groups(tree, chosen, choice)
    tell_choice(
        choice, by_mission.values(), (mission.name for mission in missions), options.data_root
    )
    chosen = [mission for mission in chosen if mission.name in by_mission]
    codes.append(code)
    if options.work.dry_run:
        codes.append(_print_plans(tree, chosen, options.stage_a, how, choice))
        return max(codes)
    engine = make_engine(options.load)
    stages = _Stages(options, engine, prompts, teaching, how, policy, choice, formats)
    stages.check_promise(chosen)
    stages.check_verdicts(chosen)
    codes += stages.summarize(tree, chosen)
    codes += stages.judge(missions, chosen)
    if not list_rows_files(options.stage_b):
        show(f"shenhe: {options.data_root}: no group was found to judge", file=sys.stderr)
        return max(codes)
    _print_verdicts(read_run(options.output_dir, max_groups=0))
    show(f"report: {write_report(options.output_dir)}")
    return max(codes)


@dataclass(frozen=True, slots=True)
class _Stages:
    """Both stages of a run, with their engine, prompts and policies."""

    options: RunCommandOptions
    engine: Engine
    prompts: Prompts
    teaching: Teaching
    how: RunOptions
    policy: VerdictPolicy
    choice: GroupChoice
    formats: TextFormats

    def check_promise(self, chosen: Sequence[Mission]) -> None:
        """Refuse a promise that was made for other verdicts.

        Raises: UsageError that names every difference.
        """
        from shenhe.runs.promised import fingerprint_of_running

        actual = {
            mission.name: fingerprint_of_running(
                mission,
                self.teaching.apply(self.prompts, mission),
                self.policy,
                self.engine,
                decisive_options(self.options.load),
                self.formats,
            )
            for mission in chosen
        }
        check_promise(self.options.policy, self.policy, actual)

    def check_verdicts(self, chosen: Sequence[Mission]) -> None:
        """Refuse verdicts that were begun with other options, before Stage-A takes its time.

        Missions that have no evidence rules are told.
        Raises: OptionsChangedError that names every difference.
        """
        tell_without_rules(chosen, evidence=self.policy.evidence)
        from shenhe.rows.keys import rows_file
        from shenhe.runs.stage_a_source import StageASource
        from shenhe.runs.stage_b import check_verdicts

        for mission in chosen:
            check_verdicts(
                self.engine,
                StageASource(mission, rows_file(self.options.stage_a, mission.name)),
                self.teaching.apply(self.prompts, mission).verdict,
                self.options.stage_b,
                engine_options=decisive_options(self.options.load),
                run=self.how,
                policy=self.policy,
                formats=self.formats,
            )

    def summarize(self, tree: PhotoTree, chosen: Sequence[Mission]) -> Iterator[int]:
        """Write the lines of the missions, those with common groups together: the exit codes."""
        from shenhe.rows.keys import rows_file
        from shenhe.runs.run import OutputSpec
        from shenhe.runs.stage_a import GroupBacklog, SummaryWork
        from shenhe.runs.together import missions_with_common_groups, run_summaries_together
        from shenhe.stages.summary import MAX_NEW_TOKENS

        folder, engine = self.options.stage_a, self.engine
        options = decisive_options(self.options.load)
        for together in missions_with_common_groups(tree, chosen):
            outputs = []
            for mission in together:
                backlog = GroupBacklog(tree, mission, self.choice)
                template = self.teaching.apply(self.prompts, mission).summary
                limit, checkpoint = MAX_NEW_TOKENS, engine.fingerprint
                work = SummaryWork(backlog, template, limit, checkpoint, self.formats)
                output = OutputSpec(rows_file(folder, mission.name), self.how, options)
                outputs.append((work, output))
            results = run_summaries_together(engine, outputs)
            for mission, counts in zip(together, results, strict=True):
                if isinstance(counts, IntakeError):  # its folder went away; the others are there
                    yield print_problems([str(counts)])
                else:
                    yield print_stage("Stage-A", mission.name, counts, folder)

    def judge(self, missions: Missions, chosen: Sequence[Mission]) -> Iterator[int]:
        """Write the verdicts of the chosen missions, and return the exit codes."""
        from shenhe.runs import find_stage_a, run_verdicts

        folder = self.options.stage_b
        sources = find_stage_a(self.options.stage_a, missions)
        with opened_reuse(self.policy, [source.path for source in sources]) as reuse:
            for source in sources:
                if source.mission not in chosen:
                    continue
                counts = run_verdicts(
                    self.engine,
                    source,
                    self.teaching.apply(self.prompts, source.mission).verdict,
                    folder,
                    engine_options=decisive_options(self.options.load),
                    run=self.how,
                    policy=self.policy,
                    reuse=reuse,
                    formats=self.formats,
                )
                yield print_stage("Stage-B", source.mission.name, counts, folder)


def _choose_groups(
    tree: PhotoTree, missions: Sequence[Mission], choice: GroupChoice
) -> tuple[dict[str, Chosen], int]:
    """Choose the groups of the missions whose folders can be read; print the others.

    Returns them by mission, and the exit code.
    Raises: IntakeError if none can be read.
    """
    chosen: dict[str, Chosen] = {}
    problems: list[IntakeError] = []
    for mission in missions:
        try:
            chosen[mission.name] = choice.choose(tree.group_ids(mission), mission.name)
        except IntakeError as error:
            problems.append(error)
    if not chosen:
        raise problems[0]
    return chosen, print_problems(map(str, problems))


def _print_plans(
    tree: PhotoTree,
    missions: Sequence[Mission],
    folder: Path,
    how: RunOptions,
    choice: GroupChoice,
) -> int:
    from shenhe.runs import plan_summaries

    faults: list[str] = []
    for mission in missions:
        plan = plan_summaries(tree, mission, folder, how, choice)
        items = f"{plan.items} photos"
        print_plan("Stage-A and B", mission.name, plan.groups, items, plan.already)
        faults += plan.faults
    return print_problems(faults)


def _print_verdicts(reading: RunReading) -> None:
    from shenhe.cli.tables import print_table
    from shenhe.rows.words import GROUPS, MISSION, UNDECIDED, Words
    from shenhe.values import FAIL, PASS

    agreed, false = Words("与人工一致", "as people said"), Words("误放行", "false passes")
    heads = [words.spoken() for words in (MISSION, GROUPS)]
    heads += [PASS, FAIL, *(words.spoken() for words in (UNDECIDED, agreed, false))]
    rows = []
    for tally in reading.missions:
        labelled = (
            tuple(
                f"{share.count}/{share.total}"
                for share in (tally.agreement, tally.by_label.false_pass)
            )
            if tally.by_label.coverage.total
            else ("-", "-")
        )
        counts = (str(tally.machine[name]) for name in (PASS, FAIL, None))
        rows.append((tally.mission, str(tally.groups), *counts, *labelled))
    print_table(heads, rows)
