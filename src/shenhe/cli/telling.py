"""`shenhe status`: how far a run is, as a table or as JSON."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from shenhe.cli.tables import print_table
from shenhe.printable import json_line, on_one_line, show
from shenhe.rows.status import OutputStatus, read_status


def status(options: argparse.Namespace) -> int:
    """Tell how far every output of a folder is."""
    found = read_status(options.run_dir)
    if options.json:
        for output in found:
            print(json_line(asdict(output)))
    else:
        _print(found)
    return 0 if all(output.complete for output in found) else 1


def _print(found: list[OutputStatus]) -> None:
    head = ("output", "state", "done", "failed", "undecided", "a second", "left")
    print_table(head, map(_row, found), left=2)
    for output in found:
        for fault in output.faults:
            show(on_one_line(f"{output.name}: {fault}"))


def _row(output: OutputStatus) -> tuple[str, ...]:
    total = "" if output.total is None else f"/{output.total:,}"
    return (
        output.name,
        _state(output),
        f"{output.done:,}{total}",
        f"{output.failed:,}",
        f"{output.undecided:,}",
        f"{output.per_second:.1f}",
        "" if output.left_seconds is None else _time(output.left_seconds),
    )


def _state(output: OutputStatus) -> str:
    """A run that says it is under way, and has not been heard of, may be on a machine that died."""
    if output.state == "running" and output.silent_seconds > 60:
        return f"running, silent for {_time(output.silent_seconds)}"
    return output.state


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
