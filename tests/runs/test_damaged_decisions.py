"""Damaged decisions are reported at once, never overwritten, and recovered by fsck."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from shenhe.config import load_missions
from shenhe.errors import RunError
from shenhe.rows.decision_rows import Decision, Opinion, from_cells, to_cells
from shenhe.rows.decision_tables import COLUMNS
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.runs.fsck import check_run
from tests.runs.test_decisions import LAYOUTS, decision, write_earlier

COUNT = 60


@pytest.fixture
def decided(tmp_path: Path) -> list[Decision]:
    decisions = Decisions(tmp_path)
    return [decisions.add(decision(f"group-{number:04d}")) for number in range(COUNT)]


def _write(path: Path, at: int, data: bytes) -> None:
    with path.open("rb+") as file:
        file.seek(at)
        file.write(data)


def _sql(statement: str) -> Callable[[Path], None]:
    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(statement)

    return harm


def _anothers(path: Path) -> None:
    path.unlink()
    _sql("CREATE TABLE photos (a)")(path)


@pytest.mark.parametrize("cell", ["[" * 100_000, "{", "\0", "[]"])
def test_what_was_said_that_cannot_be_read_is_told_as_damage(cell: str) -> None:
    cells = to_cells(decision("g").model_copy(update={"number": 1}))
    index = COLUMNS.split(", ").index("said")
    with pytest.raises(ValueError, match=r".+"):
        from_cells((1, *cells[:index], cell, *cells[index + 1 :]))


HARMS: dict[str, Callable[[Path], object]] = {
    "torn": lambda path: os.truncate(path, path.stat().st_size // 2 // 4096 * 4096),
    "torn within a page": lambda path: os.truncate(path, 10_000),
    "no database": lambda path: path.write_bytes(b"not a database, but long enough" * 30),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a page of zeros": lambda path: _write(path, 4096, bytes(4096)),
    "a page of garbage": lambda path: _write(path, 8192, os.urandom(4096)),
    "of another program": _anothers,
    "a column too few": _sql("ALTER TABLE decisions RENAME COLUMN reviewer TO who"),
    "no table": _sql("DROP TABLE current"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_damaged_decisions_are_told_and_recovered(
    harm: str, decided: list[Decision], tmp_path: Path
) -> None:
    path = decisions_file(tmp_path)
    HARMS[harm](path)
    before = path.read_bytes()
    with pytest.raises(RunError, match=r"damaged: .*shenhe fsck") as error:
        Decisions(tmp_path)
    assert str(path) in str(error.value)
    list(check_run(tmp_path, load_missions(), repair=False))
    assert path.read_bytes() == before
    (fault,) = check_run(tmp_path, load_missions())
    (aside,) = path.parent.glob("decisions.sqlite.before-*")
    assert aside.read_bytes() == before
    left = list(Decisions(tmp_path).all_current())
    assert all(decision in decided for decision in left)
    assert fault.done.startswith(f"{len(left)} decisions can be read")
    assert fault.mendable == (len(left) == COUNT)
    if harm == "no table":
        assert left == decided
    assert not list(check_run(tmp_path, load_missions()))
    Decisions(tmp_path).add(decision("group-9999"))


def test_what_is_current_is_made_of_what_was_said(decided: list[Decision], tmp_path: Path) -> None:
    _sql("DELETE FROM current WHERE number > 50")(decisions_file(tmp_path))
    (fault,) = check_run(tmp_path, load_missions())
    assert fault.mendable
    assert list(Decisions(tmp_path).all_current()) == decided


def test_a_cell_that_no_shenhe_wrote(decided: list[Decision], tmp_path: Path) -> None:
    _sql("UPDATE decisions SET said = '{\"choice\": 7}' WHERE number = 5")(decisions_file(tmp_path))
    with pytest.raises(RunError, match="damaged"):
        list(Decisions(tmp_path).all_current())
    (fault,) = check_run(tmp_path, load_missions())
    assert not fault.mendable
    assert len(list(Decisions(tmp_path).all_current())) == COUNT - 1


def test_an_empty_file_where_a_review_has_been_is_a_loss(tmp_path: Path) -> None:
    path = decisions_file(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"")
    Decisions(tmp_path)  # as if a process had been killed before it wrote anything
    path.write_bytes(b"")
    path.with_name("index.sqlite").write_bytes(b"")
    with pytest.raises(RunError, match="it is empty, and was not"):
        Decisions(tmp_path)
    list(check_run(tmp_path, load_missions()))
    assert not list(Decisions(tmp_path).all_current())


def test_what_stands_in_the_log_alone_is_checked_and_kept(tmp_path: Path) -> None:
    killed, run = tmp_path / "killed", tmp_path / "run"
    decisions = Decisions(run)
    with closing(sqlite3.connect(decisions.path)) as holder:  # prevents a checkpoint of the log
        holder.execute("SELECT count(*) FROM decisions").fetchone()
        written = decisions.add(decision("g1"))
        shutil.copytree(run, killed)
    assert decisions_file(killed).with_name("decisions.sqlite-wal").stat().st_size
    assert not list(check_run(killed, load_missions()))
    assert list(Decisions(killed).all_current()) == [written]


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    decisions_file(tmp_path).mkdir(parents=True)
    with pytest.raises(RunError, match="cannot be opened"):
        Decisions(tmp_path)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_earlier_file_is_whole_and_is_recovered_where_it_is_not(
    tmp_path: Path, layout: int
) -> None:
    path = write_earlier(tmp_path, layout)
    before = path.read_bytes()
    assert not list(check_run(tmp_path, load_missions()))
    assert path.read_bytes() == before
    _sql("DELETE FROM current")(path)
    (fault,) = check_run(tmp_path, load_missions())
    assert "1 decisions can be read; they are written anew" in fault.done
    (kept,) = Decisions(tmp_path).history("g1")
    assert (kept.inputs, kept.audit) == ({1: None, 2: "a.b"}[layout], None)


def test_what_was_said_blind_and_of_labels_is_recovered(tmp_path: Path) -> None:
    said = Opinion(choice="通过", label_wrong=True)
    row = decision("g1").model_copy(update={"audit": 0.05, "opinion": said})
    written = Decisions(tmp_path).add(row)
    _sql("DELETE FROM current")(decisions_file(tmp_path))
    assert list(check_run(tmp_path, load_missions()))
    assert [blind.decision for blind in Decisions(tmp_path).audited()] == [written]
    with closing(sqlite3.connect(decisions_file(tmp_path))) as db:
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert {"blind", "by_reviewer", "undone"} <= names
