"""`shenhe report`: the page of a run."""

from __future__ import annotations

from pathlib import Path

from shenhe.options import Count, argument, option, option_class
from shenhe.printable import show_data


@option_class
class ReportOptions:
    """Options of a report."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    max_groups: Count = option(
        "show at most so many groups: undecided ones and disagreements first",
        default=500,
        metavar="N",
    )


def report(options: ReportOptions) -> int:
    """Write the page, and print its path."""
    from shenhe.report import write_report

    show_data(write_report(options.run_dir, options.max_groups))
    return 0
