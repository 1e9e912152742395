"""`shenhe report`: the page of a run."""

from __future__ import annotations

from pathlib import Path

from shenhe.cli.databases import DatabaseOptions, follow_decisions
from shenhe.options import Count, argument, option, option_class, section
from shenhe.printable import show


@option_class
class ReportOptions:
    """Options of a report."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    max_groups: Count = option(
        "show at most so many groups: undecided ones and disagreements first",
        default=500,
        metavar="N",
    )
    team: DatabaseOptions = section(default=DatabaseOptions())


def report(options: ReportOptions) -> int:
    """Write the page, and print its path."""
    from shenhe.report import write_report

    follow_decisions([options.run_dir], options.team)
    show(write_report(options.run_dir, options.max_groups))
    return 0
