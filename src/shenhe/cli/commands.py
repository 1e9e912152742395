"""What each command composes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from shenhe.config import Mission, load_missions, load_prompts
from shenhe.engines.base import Engine, EngineSpec
from shenhe.errors import FormatError, IntakeError, UsageError
from shenhe.formats import summary, verdict
from shenhe.intake import PhotoTree
from shenhe.records import FAIL, PASS, Judgement
from shenhe.report import RunReading, read_run, write_report
from shenhe.report.tally import UNDECIDED
from shenhe.runs import (
    RunCounts,
    RunOptions,
    find_stage_a,
    plan_summaries,
    plan_verdicts,
    run_summaries,
    run_verdicts,
)

DEMO_PHOTOS = Path(__file__).parent.parent / "demo" / "photos"


def summarize(options: argparse.Namespace) -> int:
    """Stage-A."""
    missions, prompts = load_missions(options.missions), load_prompts(options.prompts)
    mission = missions.get(options.mission)
    tree = PhotoTree(options.data_root)
    run = _run_options(options)
    if options.dry_run:
        plan = plan_summaries(tree, mission, options.output_dir, run)
        _tell_plan("Stage-A", mission, plan.groups, f"{plan.items} photos", plan.already)
        return 0
    counts = run_summaries(
        _engine(options),
        tree,
        mission,
        prompts.summary,
        options.output_dir,
        options=_decisive(options),
        run=run,
        max_new_tokens=options.max_new_tokens,
    )
    return _tell("Stage-A", mission.name, counts, options.output_dir)


def judge(options: argparse.Namespace) -> int:
    """Stage-B."""
    missions, prompts = load_missions(options.missions), load_prompts(options.prompts)
    run = _run_options(options)
    sources = find_stage_a(options.stage_a, missions)
    if options.dry_run:
        for source in sources:
            plan = plan_verdicts(source, options.output_dir, run)
            _tell_plan("Stage-B", source.mission, plan.groups, "one verdict each", plan.already)
        return 0
    engine = _engine(options)
    codes = []
    for source in sources:
        counts = run_verdicts(
            engine,
            source,
            prompts.verdict,
            options.output_dir,
            options=_decisive(options),
            run=run,
            max_new_tokens=options.max_new_tokens,
        )
        codes.append(_tell("Stage-B", source.mission.name, counts, options.output_dir))
    return max(codes, default=0)


def run(options: argparse.Namespace) -> int:
    """Stage-A and Stage-B of all missions, then the report."""
    missions, prompts = load_missions(options.missions), load_prompts(options.prompts)
    tree = PhotoTree(options.data_root)
    wanted = [missions.get(name) for name in options.mission] or tree.missions(missions)
    if not wanted:
        known = ", ".join(mission.name for mission in missions)
        raise IntakeError(f"--data-root {options.data_root}: no mission's folder; known: {known}")
    _warn_of_unknown(tree.unknown(missions))
    how = _run_options(options)
    stage_a, stage_b = options.output_dir / "stage_a", options.output_dir / "stage_b"
    if options.dry_run:
        for mission in wanted:
            plan = plan_summaries(tree, mission, stage_a, how)
            _tell_plan("Stage-A and B", mission, plan.groups, f"{plan.items} photos", plan.already)
        return 0
    for mission in wanted:
        tree.count(mission)  # a mission without a folder stops the run before the model is loaded
    engine = _engine(options)
    decisive = _decisive(options)
    codes = []
    for mission in wanted:
        counts = run_summaries(
            engine, tree, mission, prompts.summary, stage_a, options=decisive, run=how
        )
        codes.append(_tell("Stage-A", mission.name, counts, stage_a))
    names = {mission.name for mission in wanted}
    for source in find_stage_a(stage_a, missions):
        if source.mission.name in names:
            counts = run_verdicts(
                engine, source, prompts.verdict, stage_b, options=decisive, run=how
            )
            codes.append(_tell("Stage-B", source.mission.name, counts, stage_b))
    _print_verdicts(read_run(options.output_dir, max_groups=0))
    print(f"report: {write_report(options.output_dir)}")
    return max(codes)


def report(options: argparse.Namespace) -> int:
    """The report of a run."""
    print(write_report(options.run_dir, options.max_groups))
    return 0


def check(options: argparse.Namespace) -> int:
    """Validate texts row by row."""
    checks: dict[str, Callable[[str], Any]] = {"summary": summary.parse, "verdict": verdict.parse}
    with ExitStack() as stack:
        if options.file == "-":
            lines: TextIO = sys.stdin
        else:
            try:
                lines = stack.enter_context(open(options.file, encoding="utf-8"))
            except OSError as error:
                raise UsageError(f"{options.file}: cannot be read: {error.strerror}") from error
        return _check_lines(lines, options.file, checks[options.kind])


def demo(options: argparse.Namespace) -> int:
    """The main job on what is bundled."""
    from shenhe.cli.parser import build_parser

    arguments = ["run", "--model", "demo", "--adapters", "demo", "--dtype", "float32"]
    arguments += ["--data-root", str(DEMO_PHOTOS), "--output-dir", str(options.output_dir)]
    arguments += ["--batch-size", "8"]
    code = run(build_parser().parse_args(arguments))
    # The demo's photos hold groups that cannot be decided, to show what becomes of them.
    return 0 if code == 1 else code


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "summarize": summarize,
    "judge": judge,
    "run": run,
    "report": report,
    "check": check,
    "demo": demo,
}


def _engine(options: argparse.Namespace) -> Engine:
    from transformers.utils import logging

    from shenhe.engines.create import create_engine

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print(f"loading {options.model} ...", file=sys.stderr, flush=True)
    spec = EngineSpec(
        model=options.model,
        adapters=_adapters(options),
        engine=options.engine,
        dtype=options.dtype,
        attn_impl=options.attn_impl,
        device=options.device,
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seed,
        max_pixels=options.max_pixels,
        batch_size=options.batch_size,
    )
    return create_engine(spec)


def _adapters(options: argparse.Namespace) -> tuple[str, ...]:
    return tuple(name for names in options.adapters for name in names)


def _decisive(options: argparse.Namespace) -> dict[str, Any]:
    """The options that decide what rows say; speed, device and amount do not."""
    names = ("engine", "dtype", "attn_impl", "temperature", "top_p", "seed", "max_pixels")
    return {name: getattr(options, name) for name in names} | {
        "model": options.model,
        "adapters": list(_adapters(options)),
    }


def _run_options(options: argparse.Namespace) -> RunOptions:
    return RunOptions(options.limit, options.restart, options.max_attempts)


def _tell(stage: str, mission: str, counts: RunCounts, folder: Path) -> int:
    kept = counts.kept()
    parts = [f"{kept.done} groups done"]
    parts += [f"{counts.already} of them before"] if counts.already else []
    parts += [f"{kept.failed} failed"] if kept.failed else []
    parts += [f"{kept.undecided} undecided"] if kept.undecided else []
    print(f"{stage} {mission}: {', '.join(parts)}", file=sys.stderr)
    if counts.passed_over:
        passed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.passed_over.items()))
        print(f"  passed over: {passed}", file=sys.stderr)
    if counts.complete:
        return 0
    print(f"  listed in {folder / '*.failures.jsonl'}", file=sys.stderr)
    return 1


def _tell_plan(stage: str, mission: Mission, groups: int, items: str, already: int) -> None:
    print(f"{stage} {mission.name}: would do {groups} groups ({items}); {already} are done")


def _warn_of_unknown(folders: Iterable[str]) -> None:
    for folder in folders:
        print(f"shenhe: warning: folder {folder} is no known mission", file=sys.stderr)


def _print_verdicts(reading: RunReading) -> None:
    table = Table("任务 mission", "组 groups", PASS, FAIL, "未决", "与人工一致", "误放行")
    for column in table.columns[1:]:
        column.justify = "right"
    for tally in reading.missions:
        labelled = (
            (f"{tally.agreed}/{tally.labelled}", f"{tally.false_passes}/{tally.failed_by_people}")
            if tally.labelled
            else ("-", "-")
        )
        counts = (str(tally.verdicts[name]) for name in (PASS, FAIL, UNDECIDED))
        table.add_row(tally.mission, str(tally.groups), *counts, *labelled)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(table)


def _check_lines(lines: Iterable[str], name: str, parse: Callable[[str], Any]) -> int:
    code = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            raw = row["raw"]
            if not isinstance(raw, str):
                raise TypeError("raw is no string")
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f'{name}: line {number} is not {{"raw": "..."}}: {error}') from error
        result: dict[str, Any] = {"ok": True, "value": None, "repairs": [], "error": None}
        try:
            value = parse(raw)
            result["value"] = (
                {"verdict": value.verdict, "reason": value.reason}
                if isinstance(value, Judgement)
                else value
            )
        except FormatError as error:
            code = 1
            result |= {"ok": False, "error": {"code": error.code, "message": str(error)}}
        print(json.dumps(result, ensure_ascii=False))
    return code
