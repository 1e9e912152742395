"""`shenhe fsck`: what is wrong with a run's files, and was mended, as lines or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.languages import Words
from shenhe.options import argument, option, option_class
from shenhe.printable import json_line, on_one_line, show, show_data, worded

if TYPE_CHECKING:
    from shenhe.runs.fsck import Fault


@option_class
class FsckOptions:
    """Options of a check of a run's files."""

    run_dir: Path = argument("RUN_DIR", "a folder that rows went to")
    dry_run: bool = option("say what is wrong, and touch nothing", default=False)
    json: bool = option("write one JSON object instead of lines", default=False)
    missions: Path | None = option("missions of your own (TOML)", default=None, metavar="FILE")


def fsck(options: FsckOptions) -> int:
    """Check a run's files against each other; exit 1 when something is left that is wrong."""
    from shenhe.config import load_missions
    from shenhe.row_types import SCHEMA
    from shenhe.runs.fsck import check_run

    missions = load_missions(options.missions)
    faults: list[Fault] = []
    for fault in check_run(options.run_dir, missions, repair=not options.dry_run):
        faults.append(fault)
        if not options.json:
            show_data(on_one_line(_line(fault, dry_run=options.dry_run)))
    left = faults if options.dry_run else [fault for fault in faults if not fault.mendable]
    if options.json:
        described = [
            {**asdict(fault), "path": str(fault.path), "mendable": fault.mendable}
            for fault in faults
        ]
        content = {"schema": SCHEMA, "ok": not left, "faults": described}
        print(json_line(content, indent=2))
    else:
        show(_total(len(faults), len(left), dry_run=options.dry_run))
    return int(bool(left))


def _line(fault: Fault, *, dry_run: bool) -> str:
    mended = Words("可修复", "would  ") if dry_run else Words("已修复", "mended ")
    mark = mended if fault.mendable else Words("待处理", "LEFT   ")
    line = "" if fault.line is None else f":{fault.line}"
    outcome = "; ".join(worded(text) for text in (fault.done, fault.remedy) if text)
    return f"{mark.told()} {fault.path}{line}: {worded(fault.what)} -> {outcome}"


def _total(faults: int, left: int, *, dry_run: bool) -> str:
    if not faults:
        return "nothing is wrong"
    if dry_run:
        return f"{faults} faults; nothing was touched"
    return f"{faults} faults, {faults - left} mended, {left} left"
