"""What each command composes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from shenhe.cli import captions, checks, examining, measures, merging, talk, telling, verifying
from shenhe.cli.composing import (
    DEMO_PHOTOS,
    decisive,
    make_engine,
    run_options,
    teaching_of,
    tell,
    tell_faults,
    verdict_policy_of,
)
from shenhe.cli.tables import print_table
from shenhe.config import Mission, load_missions, load_prompts
from shenhe.errors import IntakeError, RunError
from shenhe.intake import PhotoTree
from shenhe.printable import on_one_line, show
from shenhe.report import RunReading, read_run, write_report
from shenhe.report.tally import UNDECIDED
from shenhe.runs import (
    RunCounts,
    find_stage_a,
    plan_summaries,
    plan_verdicts,
    run_summaries,
    run_verdicts,
)
from shenhe.shards import list_rows_files
from shenhe.values import FAIL, PASS


def summarize(options: argparse.Namespace) -> int:
    """Stage-A."""
    missions, prompts = load_missions(options.missions), load_prompts(options.prompts)
    mission = missions.get(options.mission)
    tree = PhotoTree(options.data_root)
    run = run_options(options)
    if options.dry_run:
        plan = plan_summaries(tree, mission, options.output_dir, run)
        _tell_plan("Stage-A", mission, plan.groups, f"{plan.items} photos", plan.already)
        return 0
    tree.count_groups(mission)  # a mission without a folder ends here, before the model is loaded
    prompts = teaching_of(options, missions).apply(prompts, mission)
    counts = run_summaries(
        make_engine(options),
        tree,
        mission,
        prompts.summary,
        options.output_dir,
        options=decisive(options),
        run=run,
        max_new_tokens=options.max_new_tokens,
    )
    return _tell_stage("Stage-A", mission.name, counts, options.output_dir)


def judge(options: argparse.Namespace) -> int:
    """Stage-B."""
    missions, prompts = load_missions(options.missions), load_prompts(options.prompts)
    run, policy = run_options(options), verdict_policy_of(options)
    sources = find_stage_a(options.stage_a, missions)
    if not sources:
        raise RunError(f"--stage-a {options.stage_a}: empty; `shenhe summarize` writes rows there")
    if options.dry_run:
        for source in sources:
            plan = plan_verdicts(source, options.output_dir, run, policy)
            _tell_plan("Stage-B", source.mission, plan.groups, "one verdict each", plan.already)
        return 0
    teaching = teaching_of(options, missions)
    engine = make_engine(options)
    codes = []
    for source in sources:
        counts = run_verdicts(
            engine,
            source,
            teaching.apply(prompts, source.mission).verdict,
            options.output_dir,
            options=decisive(options),
            run=run,
            max_new_tokens=options.max_new_tokens,
            policy=policy,
        )
        codes.append(_tell_stage("Stage-B", source.mission.name, counts, options.output_dir))
    return max(codes, default=0)


def run(options: argparse.Namespace) -> int:
    """Stage-A and Stage-B of all missions, then the report."""
    missions, prompts = load_missions(options.missions), load_prompts(options.prompts)
    tree = PhotoTree(options.data_root)
    wanted = [missions.get(name) for name in options.mission] or tree.missions(missions)
    if not wanted:
        raise tree.no_mission_error(missions)
    misspelled = tree.misspelled_folders(missions)
    _warn_of_unknown(
        folder for folder in tree.unknown_folders(missions) if folder not in misspelled
    )
    codes = [tell_faults(misspelled.values())]
    how, policy = run_options(options), verdict_policy_of(options)
    stage_a, stage_b = options.output_dir / "stage_a", options.output_dir / "stage_b"
    wanted, unreadable = _with_folders(tree, wanted)
    codes.append(unreadable)
    if options.dry_run:
        for mission in wanted:
            plan = plan_summaries(tree, mission, stage_a, how)
            _tell_plan("Stage-A and B", mission, plan.groups, f"{plan.items} photos", plan.already)
        return max(codes)
    teaching = teaching_of(options, missions)
    engine, rows = make_engine(options), decisive(options)
    for mission in wanted:
        template = teaching.apply(prompts, mission).summary
        try:
            counts = run_summaries(engine, tree, mission, template, stage_a, options=rows, run=how)
        except IntakeError as error:  # its folder went away meanwhile; the others are there
            codes.append(tell_faults([str(error)]))
        else:
            codes.append(_tell_stage("Stage-A", mission.name, counts, stage_a))
    for source in find_stage_a(stage_a, missions):
        if source.mission in wanted:
            template = teaching.apply(prompts, source.mission).verdict
            counts = run_verdicts(
                engine, source, template, stage_b, options=rows, run=how, policy=policy
            )
            codes.append(_tell_stage("Stage-B", source.mission.name, counts, stage_b))
    if not list_rows_files(stage_b):
        show(f"shenhe: {options.data_root}: no group was found to judge", file=sys.stderr)
        return max(codes)
    _print_verdicts(read_run(options.output_dir, max_groups=0))
    show(f"report: {write_report(options.output_dir)}")
    return max(codes)


def _with_folders(tree: PhotoTree, missions: Sequence[Mission]) -> tuple[list[Mission], int]:
    """Choose the missions whose folders can be gone through; the others are told, and stop none.

    Raises: IntakeError where there is none.
    """
    good: list[Mission] = []
    faults: list[IntakeError] = []
    for mission in missions:
        try:
            tree.count_groups(mission)
        except IntakeError as error:
            faults.append(error)
        else:
            good.append(mission)
    if not good:
        raise faults[0]
    return good, tell_faults(map(str, faults))


def report(options: argparse.Namespace) -> int:
    """The report of a run."""
    show(write_report(options.run_dir, options.max_groups))
    return 0


def fsck(options: argparse.Namespace) -> int:
    """The check of a run's files."""
    from shenhe.cli import mending  # its libraries are no other command's

    return mending.fsck(options)


def demo(options: argparse.Namespace) -> int:
    """The main job on what is bundled."""
    from shenhe.cli.parser import build_parser

    arguments = ["run", "--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    arguments += ["--data-root", str(DEMO_PHOTOS), "--output-dir", str(options.output_dir)]
    code = run(build_parser().parse_args(arguments))
    # The demo's photos hold groups that cannot be decided, to show what becomes of them.
    return 0 if code == 1 else code


def review(options: argparse.Namespace) -> int:
    """The review app."""
    from shenhe.cli import reviewing  # its libraries are no other command's

    return reviewing.review(options)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "chat": talk.chat,
    "infer": talk.chat,
    "caption": captions.caption,
    "summarize": summarize,
    "judge": judge,
    "run": run,
    "fsck": fsck,
    "report": report,
    "review": review,
    "status": telling.status,
    "merge": merging.merge,
    "export": merging.export,
    "verify": verifying.verify,
    "doctor": examining.doctor,
    "convert": captions.convert,
    "evaluate": measures.evaluate,
    "check": checks.check,
    "demo": demo,
}


def _tell_stage(stage: str, mission: str, counts: RunCounts, folder: Path) -> int:
    return tell(f"{stage} {mission}", "groups", counts, folder / "*.failures.jsonl")


def _tell_plan(stage: str, mission: Mission, groups: int, items: str, already: int) -> None:
    show(f"{stage} {mission.name}: would do {groups} groups ({items}); {already} are done")


def _warn_of_unknown(folders: Iterable[str]) -> None:
    for folder in folders:
        warning = on_one_line(f"shenhe: warning: folder {folder} is no known mission")
        show(warning, file=sys.stderr)


def _print_verdicts(reading: RunReading) -> None:
    head = ("任务 mission", "组 groups", PASS, FAIL, "未决", "与人工一致", "误放行")
    rows = []
    for tally in reading.missions:
        labelled = (
            (f"{tally.agreed}/{tally.labelled}", f"{tally.false_passes}/{tally.failed_by_people}")
            if tally.labelled
            else ("-", "-")
        )
        counts = (str(tally.verdicts[name]) for name in (PASS, FAIL, UNDECIDED))
        rows.append((tally.mission, str(tally.groups), *counts, *labelled))
    print_table(head, rows)
