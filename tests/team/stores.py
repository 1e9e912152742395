"""Both places where decisions of a run are made: its own file, and a database with a copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shenhe.rows.decisions import Decisions
from shenhe.team import Database, SharedDecisions, open_database

Open = Callable[[Path], Decisions]
"""Opens the decisions of a run folder, as a server does."""


@pytest.fixture(params=["sqlite", "postgresql"])
def open_decisions(request: pytest.FixtureRequest) -> Iterator[Open]:
    opened: list[Database] = []

    def open_shared(run_dir: Path) -> Decisions:
        # Runs share a database, and differ by what they carry in review/run_id.
        opened.append(open_database(run_dir, request.getfixturevalue("shared_url")))
        return SharedDecisions(run_dir, opened[-1])

    yield Decisions if request.param == "sqlite" else open_shared
    for database in opened:
        database.close()
