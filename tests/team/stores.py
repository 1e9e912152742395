"""Both places where decisions of a run are made: its own file, and a database with a copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shenhe.database import Database
from shenhe.rows.decisions import Decisions
from shenhe.team import SharedDecisions, open_database

Open = Callable[[Path], Decisions]
"""Opens the decisions of a run folder, as a server does."""


@pytest.fixture(params=["sqlite", "postgresql"])
def open_decisions(request: pytest.FixtureRequest) -> Iterator[Open]:
    opened: list[Database] = []
    is_shared = request.param == "postgresql"
    url = request.getfixturevalue("shared_url") if is_shared else ""

    def open_shared(run_dir: Path) -> Decisions:
        # Runs share a database, and differ by what they carry in review/run_id.
        database = open_database(run_dir, url)
        opened.append(database)
        return SharedDecisions(run_dir, database)

    yield open_shared if is_shared else Decisions
    for database in opened:
        database.close()
