"""What people decided: damaged, it is kept aside, and what can be read of it is written anew."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from shenhe.errors import RunError
from shenhe.files import put_in_place, write_error
from shenhe.rows.decision_rows import Decision, from_cells, to_cells
from shenhe.rows.decision_tables import COLUMNS, find_damage, select_statement
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.rows.ledger import set_aside
from shenhe.runs.fsck.faults import Fault

SIDES = ("", "-wal", "-shm")
"""A file of SQLite's, and those that it has beside it."""


def check_decisions(run_dir: Path, *, mend: bool) -> Iterator[Fault]:
    """Yield what is wrong with the decisions of a run, having recovered what can be read."""
    path = decisions_file(run_dir)
    if not path.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = _copied(path, Path(folder))
        problem = _problem(copy)
        if not problem:
            return
        decisions, whole = _readable(copy)
    last = max((decision.number for decision in decisions), default=0)
    told = f"{len(decisions)} decisions can be read"
    told += "" if whole else f", of at least {last}"
    if mend:
        aside = _replace(run_dir, path, decisions)
        told += f"; they are written anew, the damaged file is {aside.name}"
    remedy = "" if whole else "compare with what people remember; `sqlite3 FILE .recover` may more"
    yield Fault(path, None, f"damaged: {problem}", told, remedy)


def check_review_index(run_dir: Path, *, mend: bool) -> Iterator[Fault]:
    """Check the index of a review, which it makes of the rows whenever there is none."""
    path = decisions_file(run_dir).with_name("index.sqlite")
    if not path.is_file():
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            told = str(error)
    if told != "ok":
        done = f"is {set_aside(path)[0].name} now" if mend else "would be set aside"
        yield Fault(path, None, f"damaged: {told}", f"{done}; `shenhe review` makes it anew")


def _copied(path: Path, folder: Path) -> Path:
    """Copy a database with what belongs to it, to be read without touching it."""
    for end in SIDES[:2]:
        side = path.with_name(path.name + end)
        if side.is_file():
            try:
                shutil.copyfile(side, folder / side.name)
            except OSError as error:
                raise RunError(f"{side}: cannot be read: {error.strerror}") from error
    return folder / path.name


def _problem(copy: Path) -> str:
    """Say what is wrong, by SQLite, in a cell, or in what is current."""
    if not copy.exists():
        return "it is no file"
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        try:
            if problem := find_damage(db):
                return problem
            last = {}
            for row in db.execute(f"{select_statement(db)} ORDER BY number"):
                decision = from_cells(row)
                last[decision.key] = decision.number
            current = dict(db.execute("SELECT key, number FROM current").fetchall())
        except (sqlite3.Error, ValueError) as error:
            return str(error).splitlines()[0]
    return "" if current == last else "what is current is not what was said last"


def _readable(copy: Path) -> tuple[list[Decision], bool]:
    """Read every decision that can be, from both ends; say whether these are all of them."""
    decisions: dict[int, Decision] = {}
    whole = False
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy, isolation_level=None)) as db:
            clean = True
            for row in db.execute(f"{select_statement(db)} NOT INDEXED ORDER BY number {order}"):
                try:
                    decision = from_cells(row)
                except (ValueError, TypeError):
                    clean = False
                else:
                    decisions[decision.number] = decision
            whole = clean
            break
    numbers = sorted(decisions)
    return [decisions[number] for number in numbers], whole and len(numbers) == max(numbers or [0])


def _replace(run_dir: Path, path: Path, decisions: Iterable[Decision]) -> Path:
    """Write decisions anew beside the damaged file, set that aside, and put them in its place."""
    with tempfile.TemporaryDirectory(dir=run_dir) as folder:
        fresh = Decisions(Path(folder)).path
        try:
            with closing(sqlite3.connect(fresh, isolation_level=None)) as db:
                _fill(db, decisions)
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            aside, *_ = set_aside(*(path.with_name(path.name + end) for end in SIDES))
            put_in_place(fresh, path)
        except OSError as error:
            raise write_error(path, error) from error
        except sqlite3.Error as error:
            raise RunError(f"{path}: cannot be written: {error}") from error
    return aside


def _fill(db: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    """Write decisions with their numbers, and which of them are current."""
    places = ", ".join("?" * (1 + len(COLUMNS.split(", "))))
    db.execute("BEGIN")
    for decision in decisions:
        cells = (decision.number, *to_cells(decision))
        db.execute(f"INSERT INTO decisions (number, {COLUMNS}) VALUES ({places})", cells)
        choice = decision.opinion.choice if decision.opinion else None
        current = (decision.key, decision.number, choice, decision.overrules)
        db.execute("INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?)", current)
    db.execute("COMMIT")
