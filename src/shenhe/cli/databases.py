"""`--database`: where the decisions of several servers are, for the commands that read them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from shenhe.options import option, option_class
from shenhe.printable import show

DATABASE = "SHENHE_DATABASE"


@option_class
class DatabaseOptions:
    """The database of a team."""

    database: str = option(
        "postgresql://USER@HOST/NAME, which several servers share; default: SHENHE_DATABASE, which"
        " shows no password in lists of processes; without either, SQLite in RUN_DIR",
        default="",
        metavar="URL",
        repr=False,
    )

    @property
    def url(self) -> str:
        """The address, from the command line or the environment; empty where there is none."""
        return self.database or os.environ.get(DATABASE, "")


def follow_decisions(run_dirs: Sequence[Path], options: DatabaseOptions) -> None:
    """Bring the decisions of runs up to date, and say of which time those of a database are.

    Raises: OptionError for an address of no database; DatabaseAwayError.
    """
    from shenhe.rows.decisions import Decisions, decisions_file

    for run_dir in run_dirs:
        if options.url:
            from shenhe.team import follow_run

            follow_run(run_dir, options.url)
        followed = Decisions(run_dir).followed if decisions_file(run_dir).exists() else None
        if followed:
            advice = "" if options.url else "; --database follows it now"
            until = followed.until or "no time yet"
            line = f"{run_dir}: decisions of {until}, made in {followed.database}{advice}"
            show(line, file=sys.stderr)
