"""The database of a team: its tables, and where it lies.

Tables are declared by the modules that use them, on `METADATA`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import MetaData

from shenhe.database import Database, open_at

METADATA: Final = MetaData()
"""All tables of a team; `open_database` creates those that are missing."""


def open_database(run_dir: Path, url: str = "") -> Database:
    """Open the database of a URL, or RUN_DIR/review/team.sqlite, and create missing tables.

    Raises: OptionError for another kind of URL; RunError if it cannot be reached or written.

    Example:
        database = open_database(Path("out"))

    """
    return open_at(run_dir, url, run_dir / "review" / "team.sqlite", METADATA)
