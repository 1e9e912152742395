"""`shenhe fsck`: what is wrong with a run's files, and was mended, as lines or as JSON."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from shenhe.config import load_missions
from shenhe.printable import json_line, on_one_line, show
from shenhe.row_types import SCHEMA
from shenhe.runs.fsck import Fault, check_run


def fsck(options: argparse.Namespace) -> int:
    """Check a run's files against each other; exit 1 when something is left that is wrong."""
    missions = load_missions(options.missions)
    faults: list[Fault] = []
    for fault in check_run(options.run_dir, missions, repair=not options.dry_run):
        faults.append(fault)
        if not options.json:
            show(on_one_line(_line(fault, dry_run=options.dry_run)))
    left = faults if options.dry_run else [one for one in faults if not one.mendable]
    if options.json:
        told = [{**asdict(one), "path": str(one.path), "mendable": one.mendable} for one in faults]
        content = {"schema": SCHEMA, "ok": not left, "faults": told}
        print(json_line(content, indent=2))
    else:
        show(_sum(len(faults), len(left), dry_run=options.dry_run))
    return int(bool(left))


def _line(fault: Fault, *, dry_run: bool) -> str:
    mark = "LEFT   " if not fault.mendable else "would  " if dry_run else "mended "
    line = "" if fault.line is None else f":{fault.line}"
    told = "; ".join(filter(None, (fault.done, fault.remedy)))
    return f"{mark} {fault.path}{line}: {fault.what} -> {told}"


def _sum(faults: int, left: int, *, dry_run: bool) -> str:
    if not faults:
        return "nothing is wrong"
    if dry_run:
        return f"{faults} faults; nothing was touched"
    return f"{faults} faults, {faults - left} mended, {left} left"
