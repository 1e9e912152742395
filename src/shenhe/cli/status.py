"""`shenhe status`: how far a run is, as a table or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from shenhe.options import argument, option, option_class
from shenhe.printable import json_line, on_one_line, show, worded

if TYPE_CHECKING:
    from shenhe.rows.status import OutputStatus

MAX_SILENT_SECONDS = 60


@option_class
class StatusOptions:
    """Options of a status."""

    run_dir: Path = argument("RUN_DIR", "a folder that rows go to")
    json: bool = option("one JSON object for each output", default=False)


def status(options: StatusOptions) -> int:
    """Print how far every output of a folder is."""
    from shenhe.rows.status import read_status

    outputs = read_status(options.run_dir)
    if options.json:
        for output in outputs:
            print(json_line(asdict(output)))
    else:
        _print(outputs)
    return 0 if all(output.complete for output in outputs) else 1


def _print(outputs: list[OutputStatus]) -> None:
    from shenhe.cli.tables import print_table

    head = ("output", "state", "done", "failed", "undecided", "a second", "left")
    print_table(head, map(_row, outputs), left=2)
    for output in outputs:
        for fault in output.faults:
            show(on_one_line(f"{output.name}: {fault}"))


def _row(output: OutputStatus) -> tuple[str, ...]:
    total = "" if output.total is None else f"/{output.total:,}"
    return (
        output.name,
        worded(_state(output)),
        f"{output.done:,}{total}",
        f"{output.failed:,}",
        f"{output.undecided:,}",
        f"{output.per_second:.1f}",
        "" if output.left_seconds is None else _time(output.left_seconds),
    )


def _state(output: OutputStatus) -> str:
    """The state; a run that is silent for long may be on a machine that died."""
    if output.state == "running" and output.silent_seconds > MAX_SILENT_SECONDS:
        return f"running, silent for {_time(output.silent_seconds)}"
    return output.state


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
