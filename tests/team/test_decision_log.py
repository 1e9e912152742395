"""Decisions in PostgreSQL: several servers follow one log, and none is lost or written twice."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, text

from shenhe.database import Database, identify_run
from shenhe.errors import ConflictError, DatabaseAwayError, RunError
from shenhe.rows.decision_rows import Decision
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.runs.fsck.decisions import check_decisions
from shenhe.team import SharedDecisions, follow_run, open_database
from shenhe.team.decision_log import DECISIONS
from tests.runs.test_decisions import decision
from tests.servers.postgres import PASSWORD, Postgres

Open = Callable[[Path], SharedDecisions]


@pytest.fixture
def database(tmp_path: Path, shared_url: str) -> Iterator[Database]:
    database = open_database(tmp_path, shared_url)
    yield database
    database.close()


def machine(run_dir: Path, name: str, database: Database) -> SharedDecisions:
    """Open the decisions of a run in a copy of its folder, as another machine has it."""
    folder = run_dir / name
    (folder / "review").mkdir(parents=True)
    shutil.copy(run_dir / "review" / "run_id", folder / "review")
    return SharedDecisions(folder, database)


def test_servers_follow_each_other(tmp_path: Path, database: Database) -> None:
    first, second = (machine(tmp_path, name, database) for name in ("a", "b"))
    written = first.add(decision("g1"))
    assert (written.number, second.current("g1")) == (1, written)
    with pytest.raises(ConflictError, match="李工 decided"):
        second.add(decision("g1", who="王工"))
    again = second.add(decision("g1", 2, "通过", who="王工"))
    with pytest.raises(ConflictError):
        first.undo("李工")
    assert first.history("g1") == second.history("g1") == [again, written]
    # Reading commands, which know of no database, read the same file.
    assert list(Decisions(tmp_path / "a").all_current()) == [again]


def test_a_followed_file_takes_no_decision_by_itself(tmp_path: Path, database: Database) -> None:
    SharedDecisions(tmp_path, database).add(decision("g1"))
    local = Decisions(tmp_path)
    followed = local.followed
    assert followed is not None
    assert (followed.database, followed.until[:2]) == (database.name, "20")
    with pytest.raises(RunError, match=r"are made in postgresql.*--database") as refused:
        local.add(decision("g2"))
    assert PASSWORD not in str(refused.value)
    assert len(local.trail()) == 1


def test_what_was_decided_before_is_carried_up_once(tmp_path: Path, database: Database) -> None:
    local = Decisions(tmp_path)
    before = [local.add(decision(f"g{number}")) for number in range(3)]
    for _ in range(2):
        shared = SharedDecisions(tmp_path, database)
        assert list(shared.all_current()) == before
    assert shared.add(decision("g9")).number == 4
    assert [d.key for d in machine(tmp_path, "b", database).trail()] == ["g9", "g2", "g1", "g0"]


def test_other_decisions_are_refused_and_kept(
    tmp_path: Path, database: Database, database_url: str
) -> None:
    other = machine(tmp_path, "b", database)
    other.add(decision("g7"))
    Decisions(tmp_path).add(decision("g1"))
    with pytest.raises(RunError, match="holds other decisions than"):
        SharedDecisions(tmp_path, database)
    assert Decisions(tmp_path).followed is None
    # A file that follows one database is no reason to fill another, misspelled one.
    empty = open_database(tmp_path / "b", database_url)
    with pytest.raises(RunError, match="has no decisions of this run, which were made in"):
        SharedDecisions(tmp_path / "b", empty)
    empty.close()


def test_a_database_that_was_put_back_gets_what_it_lost(tmp_path: Path, database: Database) -> None:
    shared = SharedDecisions(tmp_path, database)
    written = [shared.add(decision(f"g{number}")) for number in range(4)]
    with database.transaction() as connection:
        connection.execute(
            delete(DECISIONS).where(DECISIONS.c.run == database.run, DECISIONS.c.number > 2)
        )
    with pytest.raises(RunError, match="no longer there: start `shenhe review` again"):
        shared.current("g1")
    assert list(SharedDecisions(tmp_path, database).all_current()) == written


def test_many_servers_at_once_write_each_version_once(tmp_path: Path, database: Database) -> None:
    stores = [machine(tmp_path, f"m{number}", database) for number in range(3)]
    written: list[Decision] = []
    refused: list[ConflictError] = []

    def work(store: SharedDecisions, who: str) -> None:
        for key in range(12):
            try:
                written.append(store.add(decision(f"g{key}", who=who)))
            except ConflictError as error:
                refused.append(error)

    threads = [
        threading.Thread(target=work, args=(store, f"审核人{number}"))
        for number, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(written), len(refused)) == (12, 24)
    assert sorted(each.number for each in written) == list(range(1, 13))
    for store in stores:
        assert list(store.all_current()) == sorted(written, key=lambda each: each.number)


def test_an_answer_that_was_lost_is_no_conflict(tmp_path: Path, database: Database) -> None:
    shared = SharedDecisions(tmp_path, database)
    sent = decision("g1")
    assert shared.add(sent) == shared.add(sent)
    with pytest.raises(ConflictError):
        shared.add(sent.model_copy(update={"at": "2026-11-20T09:00:01.000000Z"}))
    assert len(shared.trail()) == 1


def test_a_database_that_is_away_and_back(
    tmp_path: Path, postgres: Postgres, database: Database
) -> None:
    shared = SharedDecisions(tmp_path, database)
    first = shared.add(decision("g1"))
    postgres.kill9()
    with pytest.raises(DatabaseAwayError) as away:
        shared.add(decision("g2"))
    assert PASSWORD not in str(away.value)
    with pytest.raises(DatabaseAwayError):
        shared.current("g1")
    assert list(Decisions(tmp_path).all_current()) == [first]
    postgres.start()
    second = shared.add(decision("g2"))
    assert list(shared.all_current()) == [first, second]
    # Connections that were cut while they were not in use are no reason to refuse.
    postgres.restart()
    third = shared.add(decision("g3"))
    assert shared.trail() == [third, second, first]


def test_a_run_is_followed_by_who_only_reads(tmp_path: Path, shared_url: str) -> None:
    follow_run(tmp_path, shared_url)
    assert not (tmp_path / "review").exists()
    identify_run(tmp_path)
    (tmp_path / "other" / "review").mkdir(parents=True)
    Decisions(tmp_path / "other").add(decision("g1"))
    follow_run(tmp_path / "other", shared_url)  # its decisions are its own affair
    assert Decisions(tmp_path / "other").followed is None
    database = open_database(tmp_path, shared_url)
    machine(tmp_path, "b", database).add(decision("g1"))
    database.close()
    follow_run(tmp_path, shared_url)
    assert [each.key for each in Decisions(tmp_path).all_current()] == ["g1"]


@pytest.mark.parametrize("damage", ["a cell", "the file"])
def test_a_damaged_copy_is_made_anew(tmp_path: Path, database: Database, damage: str) -> None:
    shared = SharedDecisions(tmp_path, database)
    written = [shared.add(decision(f"g{number}")) for number in range(3)]
    (tmp_path / "review" / "index.sqlite").touch()
    path = decisions_file(tmp_path)
    if damage == "the file":
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    else:
        with sqlite3.connect(path) as db:
            db.execute("UPDATE decisions SET said = '{' WHERE number = 2")
        db.close()
        with pytest.raises(RunError, match="shenhe fsck"):
            shared.history("g1")
        (fault,) = check_decisions(tmp_path, repair=True)
        assert "1 decisions are sound; the further ones are in postgresql" in fault.done
        assert fault.mendable
    assert list(SharedDecisions(tmp_path, database).all_current()) == written


def test_a_key_of_any_length(tmp_path: Path, database: Database) -> None:
    shared = SharedDecisions(tmp_path, database)
    keys = ["甲\x1f" * 5000, "乙\x1f" * 5000]
    for key in keys:
        shared.add(decision(key))
    assert [each.key for each in shared.all_current()] == keys


def test_what_is_acknowledged_is_on_disk_whatever_the_default(
    tmp_path: Path, database: Database
) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(f"ALTER DATABASE {database.engine.url.database} SET synchronous_commit = off")
        )
    try:
        database.close()
        with database.transaction() as connection:
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    finally:
        with database.transaction() as connection:
            connection.execute(text(f"ALTER DATABASE {database.engine.url.database} RESET ALL"))
