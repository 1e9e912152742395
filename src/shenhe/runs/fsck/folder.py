"""A whole run: each of its outputs, Stage-B against Stage-A, and what people decided."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from shenhe.config import Missions
from shenhe.errors import RunError, UsageError
from shenhe.rows.decisions import decisions_file
from shenhe.rows.manifest import SUFFIX, manifest_file
from shenhe.runs.fsck.decided import check_decisions, check_review_index
from shenhe.runs.fsck.faults import Fault
from shenhe.runs.fsck.output import REPEAT, check_output
from shenhe.runs.run import RunOptions
from shenhe.runs.stage_a_source import find_stage_a
from shenhe.runs.stage_b import plan_verdicts
from shenhe.shards import is_rows_file

_INDEX = re.compile(r"\.(.+)\.index\.sqlite")
_FAILURES = ".failures.jsonl"
_STAGES = ("stage_a", "stage_b", "captions")


def check_run(run_dir: Path, missions: Missions, *, mend: bool = True) -> Iterator[Fault]:
    """Yield what is wrong with what a run wrote, having mended what can be made anew.

    Nothing is deleted: what does not belong is moved to a file beside. `mend` false only looks.
    Raises: RunError where there is nothing of shenhe's, or a run writes to it.

        for fault in check_run(Path("out"), load_missions()):
            print(fault.path, fault.what, fault.done or fault.remedy)
    """
    outputs = outputs_of(run_dir)
    decisions = decisions_file(run_dir)
    if not outputs and not decisions.exists():
        raise RunError(f"{run_dir}: nothing of shenhe's there")
    for rows_path in outputs:
        yield from check_output(rows_path, mend=mend)
    yield from _check_stages(run_dir, missions)
    yield from check_decisions(run_dir, mend=mend)
    yield from check_review_index(run_dir, mend=mend)


def outputs_of(run_dir: Path) -> list[Path]:
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
        elif path.suffix == ".jsonl" and is_rows_file(path) and _is_known(path):
            rows.add(path)
    return sorted(rows)


def _is_known(path: Path) -> bool:
    return path.parent.name in _STAGES or path.name == "captions.jsonl"


def _check_stages(run_dir: Path, missions: Missions) -> Iterator[Fault]:
    """Ask of each mission what a run would still judge: a verdict rests on Stage-A's lines."""
    stage_a, stage_b = run_dir / "stage_a", run_dir / "stage_b"
    if not stage_a.is_dir() or not stage_b.is_dir():
        return
    try:
        sources = find_stage_a(stage_a, missions)
    except (RunError, UsageError):  # no rows; or missions of somebody's own
        return
    for source in sources:
        if not manifest_file(stage_b / source.path.name).exists():
            continue
        try:
            plan = plan_verdicts(source, stage_b, RunOptions())
        except RunError:  # damaged, which was told of, and not mended as nothing was to be
            continue
        if plan.groups:
            what = f"{plan.groups} groups have no verdict on the lines that Stage-A has now"
            yield Fault(stage_b / source.path.name, None, what, remedy=REPEAT)
