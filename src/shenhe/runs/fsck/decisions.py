"""Check of the review's databases; of a damaged one the readable decisions are written anew."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from shenhe.errors import RunError, spelled
from shenhe.files import put_in_place, write_error
from shenhe.rows.decision_copies import Followed, mark_followed, select_followed
from shenhe.rows.decision_queries import insert_decision
from shenhe.rows.decision_rows import Decision, from_cells
from shenhe.rows.decision_tables import find_damage, select_statement
from shenhe.rows.decisions import Decisions, decisions_file
from shenhe.rows.ledger import set_aside
from shenhe.runs.fsck.faults import Fault

SUFFIXES = ("", "-wal", "-shm")
"""Suffixes of the files that make one SQLite database."""


def check_decisions(run_dir: Path, *, repair: bool) -> Iterator[Fault]:
    """Yield the fault of a damaged decisions file; its readable decisions are recovered.

    Raises: RunError if it cannot be read or written.
    """
    path = decisions_file(run_dir)
    if not path.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = _copy_database(path, Path(folder))
        problem = _find_problem(copy)
        if not problem:
            return
        decisions, complete = _read_decisions(copy)
        followed = _read_followed(copy)
    if followed and not complete:
        yield _follow_anew(run_dir, path, problem, decisions, followed, repair=repair)
        return
    last_number = max((decision.number for decision in decisions), default=0)
    done = f"{len(decisions)} decisions can be read"
    if not complete:
        done += f", of at least {last_number}"
    if repair:
        aside = _replace(run_dir, path, decisions, followed)
        done += f"; they are written anew, the damaged file is {aside.name}"
    remedy = "compare with what people remember; `sqlite3 FILE .recover` may more"
    yield Fault(path, None, f"damaged: {problem}", done, "" if complete else remedy)


def _follow_anew(
    run_dir: Path,
    path: Path,
    problem: str,
    decisions: Sequence[Decision],
    followed: Followed,
    *,
    repair: bool,
) -> Fault:
    """Keep the decisions before the damage: the database has those that come after them."""
    sound = [each for number, each in enumerate(decisions, 1) if each.number == number]
    done = f"{len(sound)} decisions are sound; the further ones are in {followed.database}"
    if repair:
        aside = _replace(run_dir, path, sound, followed)
        done += f", and a review with {spelled('database')} copies them; damaged: {aside.name}"
    return Fault(path, None, f"damaged: {problem}", done)


def check_review_index(run_dir: Path, *, repair: bool) -> Iterator[Fault]:
    """Yield the fault of a damaged review index, which the review rebuilds from the rows."""
    path = decisions_file(run_dir).with_name("index.sqlite")
    if not path.is_file():
        return
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        try:
            (problem,) = db.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            problem = str(error)
    if problem != "ok":
        done = f"is {set_aside(path)[0].name} now" if repair else "would be set aside"
        yield Fault(path, None, f"damaged: {problem}", f"{done}; `shenhe review` makes it anew")


def _copy_database(path: Path, folder: Path) -> Path:
    """Copy a database and its write-ahead log: opening the original could change it."""
    for suffix in SUFFIXES[:2]:
        file = path.with_name(path.name + suffix)
        if file.is_file():
            try:
                shutil.copyfile(file, folder / file.name)
            except OSError as error:
                raise RunError(f"{file}: cannot be read: {error.strerror}") from error
    return folder / path.name


def _find_problem(copy: Path) -> str:
    """Describe damage that SQLite finds, an invalid cell, or a wrong table of current decisions."""
    if not copy.exists():
        return "it is no file"
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        try:
            if damage := find_damage(db):
                return damage
            latest = {}
            for row in db.execute(f"{select_statement(db)} ORDER BY number"):
                decision = from_cells(row)
                latest[decision.key] = decision.number
            current = dict(db.execute("SELECT key, number FROM current").fetchall())
        except (sqlite3.Error, ValueError) as error:
            return str(error).splitlines()[0]
    return "" if current == latest else "what is current is not what was said last"


def _read_decisions(copy: Path) -> tuple[list[Decision], bool]:
    """Read the decisions from both ends up to the damage, and whether these are all."""
    decisions: dict[int, Decision] = {}
    readable = False
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(copy, isolation_level=None)) as db:
            valid = True
            for row in db.execute(f"{select_statement(db)} NOT INDEXED ORDER BY number {order}"):
                try:
                    decision = from_cells(row)
                except (ValueError, TypeError):
                    valid = False
                else:
                    decisions[decision.number] = decision
            readable = valid
            break
    numbers = sorted(decisions)
    complete = readable and len(numbers) == max(numbers or [0])
    return [decisions[number] for number in numbers], complete


def _read_followed(copy: Path) -> Followed | None:
    """Read which database a damaged file follows, if that can be read."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(copy, isolation_level=None)) as db:
        return select_followed(db)
    return None


def _replace(
    run_dir: Path, path: Path, decisions: Iterable[Decision], followed: Followed | None
) -> Path:
    """Write decisions to a new file and put it in place; return where the damaged one is now."""
    with tempfile.TemporaryDirectory(dir=run_dir) as folder:
        new_path = Decisions(Path(folder)).path
        try:
            with closing(sqlite3.connect(new_path, isolation_level=None)) as db:
                db.execute("BEGIN")
                for decision in decisions:
                    insert_decision(db, decision, decision.number)
                if followed:
                    mark_followed(db, followed)
                db.execute("COMMIT")
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            aside, *_ = set_aside(*(path.with_name(path.name + suffix) for suffix in SUFFIXES))
            put_in_place(new_path, path)
        except OSError as error:
            raise write_error(path, error) from error
        except sqlite3.Error as error:
            raise RunError(f"{path}: cannot be written: {error}") from error
    return aside
