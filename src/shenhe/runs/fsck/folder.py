"""Check of a whole run: each of its outputs, Stage-B against Stage-A, and the decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from shenhe.config import Missions
from shenhe.errors import RunError, UsageError
from shenhe.rows.decisions import decisions_file
from shenhe.rows.manifest import SUFFIX, manifest_file, read_manifest
from shenhe.runs import RunOptions, find_stage_a, plan_verdicts
from shenhe.runs.decide.folder import STAGE as DECIDED
from shenhe.runs.fsck.decisions import check_decisions, check_review_index
from shenhe.runs.fsck.faults import Fault
from shenhe.runs.fsck.output import RUN_AGAIN, check_output
from shenhe.shards import is_rows_file

_INDEX = re.compile(r"\.(.+)\.index\.sqlite")
_FAILURES = ".failures.jsonl"
_STAGES = ("stage_a", "stage_b", "captions")


def check_run(run_dir: Path, missions: Missions, *, repair: bool = True) -> Iterator[Fault]:
    """Yield the faults of a run's files, each after its repair.

    Nothing is deleted: lines and files that do not belong are moved aside. Without `repair` nothing
    is written.
    Raises: RunError if the folder holds no run, or a run writes to it.

        for fault in check_run(Path("out"), load_missions()):
            print(fault.path, fault.what, fault.done or fault.remedy)
    """
    outputs = list_outputs(run_dir)
    decisions = decisions_file(run_dir)
    if not outputs and not decisions.exists():
        raise RunError(f"{run_dir}: nothing of shenhe's there")
    for rows_path in outputs:
        yield from check_output(rows_path, repair=repair)
    yield from _check_stages(run_dir, missions)
    yield from check_decisions(run_dir, repair=repair)
    yield from check_review_index(run_dir, repair=repair)


def list_outputs(run_dir: Path) -> list[Path]:
    """List the rows files that a run wrote, or wrote something beside: Stage-A before Stage-B.

    Raises: RunError if there is no such folder.
    """
    if run_dir.is_file():
        return [run_dir]
    if not run_dir.is_dir():
        raise RunError(f"{run_dir}: no such folder")
    rows: set[Path] = set()
    for path in run_dir.rglob("*"):
        index = _INDEX.fullmatch(path.name)
        if index:
            rows.add(path.with_name(f"{index[1]}.jsonl"))
        elif path.name.endswith((SUFFIX, _FAILURES)):
            stem = path.name.removesuffix(SUFFIX).removesuffix(_FAILURES)
            rows.add(path.with_name(f"{stem}.jsonl"))
        elif path.suffix == ".jsonl" and is_rows_file(path) and _has_output_name(path):
            rows.add(path)
    return sorted(rows)


def _has_output_name(path: Path) -> bool:
    return path.parent.name in _STAGES or path.name == "captions.jsonl"


def _check_stages(run_dir: Path, missions: Missions) -> Iterator[Fault]:
    """Yield the verdicts that Stage-B would write anew, as Stage-A has other lines by now."""
    stage_a, stage_b = run_dir / "stage_a", run_dir / "stage_b"
    if not stage_a.is_dir() or not stage_b.is_dir():
        return
    try:
        sources = find_stage_a(stage_a, missions)
    except (RunError, UsageError):  # no rows, or a mission that is not configured
        return
    for source in sources:
        manifest = manifest_file(stage_b / source.path.name)
        if not manifest.exists():
            continue
        try:
            if read_manifest(manifest).options.get("stage") == DECIDED:
                continue  # no run goes on from it
            plan = plan_verdicts(source, stage_b, RunOptions())
        except RunError:  # damaged rows, reported already; only a check does not repair them
            continue
        if plan.groups:
            problem = f"{plan.groups} groups have no verdict on the lines that Stage-A has now"
            yield Fault(stage_b / source.path.name, None, problem, remedy=RUN_AGAIN)
