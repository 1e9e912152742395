"""The database of a team: its address, the identity of a run, errors without secrets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from shenhe.database import identify_run
from shenhe.errors import OptionError, RunError
from shenhe.team import open_database


def test_sqlite_is_beside_the_decisions(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    with database.transaction() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
    assert database.run == open_database(tmp_path).run
    assert (tmp_path / "review" / "team.sqlite").exists()
    database.engine.dispose()


def test_processes_that_come_at_once_agree_on_the_run(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = set(pool.map(lambda _: identify_run(tmp_path), range(32)))
    assert len(runs) == 1
    assert [path.name for path in (tmp_path / "review").iterdir()] == ["run_id"]


@pytest.mark.parametrize("url", ["mysql://root:geheim@db/x", "geheim", "://geheim", "sqlite:///x"])
def test_another_url_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(OptionError, match="postgresql://") as error:
        open_database(tmp_path, url)
    assert "geheim" not in str(error.value)


def test_database_out_of_reach_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"\*\*\*@127.0.0.1:1/shenhe: ") as error:
        open_database(tmp_path, "postgresql://people:geheim@127.0.0.1:1/shenhe")
    assert "geheim" not in str(error.value)
