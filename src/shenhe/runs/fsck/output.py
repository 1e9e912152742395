"""Check of one output: its rows, index, manifest, failures and Parquet files against each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from shenhe.errors import DamagedRowError, RunError
from shenhe.rows import index_tables, manifest
from shenhe.rows.counts import KeptCounts
from shenhe.rows.failures import Failures
from shenhe.rows.keys import failures_file, key_of
from shenhe.rows.ledger import OutputLock, parse_row, read_lines, set_aside
from shenhe.rows.row_index import RowIndex, drop_index, index_file
from shenhe.rows.status import status_of
from shenhe.runs.fsck.faults import Fault
from shenhe.runs.fsck.rows import (
    NO_LINE_END,
    Keys,
    check_rows,
    check_torn_end,
    is_of_another_tool,
    move_lines,
)
from shenhe.shards import list_shards

RUN_AGAIN = "run the same command again"
_MEND_THERE = "another tool wrote it: mend it there; meanwhile it is left out, and told"


def check_output(rows_path: Path, *, repair: bool) -> Iterator[Fault]:
    """Yield the faults of one output, each after its repair.

    Raises: OutputBusyError while a run writes to it; RunError.
    """
    with OutputLock(rows_path), closing(Keys()) as keys:
        if is_of_another_tool(rows_path):
            yield from _check_foreign_rows(rows_path, keys)
            return
        yield from _check_leftovers(rows_path, repair=repair)
        yield from check_rows(rows_path, keys, repair=repair)
        yield from _check_index(rows_path, keys, repair=repair)
        yield from _check_failures(rows_path, keys, repair=repair)
        yield from _check_manifest(rows_path, keys, repair=repair)
        yield from _check_parquet(rows_path, repair=repair)


def _check_foreign_rows(rows_path: Path, keys: Keys) -> Iterator[Fault]:
    """Yield what is wrong with the rows of another tool, whose files are never touched."""
    for fault in check_rows(rows_path, keys, repair=False):
        if fault.what != NO_LINE_END:
            yield replace(fault, done="", remedy=fault.remedy or _MEND_THERE)


def _check_leftovers(rows_path: Path, *, repair: bool) -> Iterator[Fault]:
    """Yield files that a process was writing when it died; the complete ones lie beside them."""
    paths = [manifest.manifest_file(rows_path).with_suffix(".new")]
    paths.append(failures_file(rows_path).with_suffix(".rewriting"))
    for path in list_shards(rows_path):
        paths += [path.with_suffix(".rewriting"), path.with_suffix(".new")]
    for path in paths:
        if path.exists():
            done = f"is {set_aside(path)[0].name} now" if repair else "would be set aside"
            yield Fault(path, None, "left of a write that was cut short", done)


def _check_index(rows_path: Path, keys: Keys, *, repair: bool) -> Iterator[Fault]:
    """Compare the index, which may lag behind, with the rows."""
    path = index_file(rows_path)
    if not path.exists():
        return
    try:
        problem = _find_index_problem(path, keys)
    except index_tables.DAMAGED as error:
        problem = f"damaged: {error}"
    if problem:
        if repair:
            drop_index(rows_path)
            RowIndex(rows_path, key_of).close()
        yield Fault(path, None, problem, "made anew of the rows")


def _find_index_problem(path: Path, keys: Keys) -> str:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
        if db.execute("PRAGMA user_version").fetchone()[0] != index_tables.LAYOUT:
            return ""  # an earlier layout, which the next run replaces
        if tuple(db.execute(index_tables.SELECT_STATE).fetchone()[3:]) != index_tables.count_keys(
            db
        ):
            return "does not hold what it says"
        for key, settled in db.execute("SELECT key, settled FROM rows"):
            if keys.settled(key) is not bool(settled):
                return f"says what the rows do not, of group {_group_id(key)}"
    return ""


def _check_failures(rows_path: Path, keys: Keys, *, repair: bool) -> Iterator[Fault]:
    """Check the lines of the failures, and that each unsettled row has a failure."""
    path = failures_file(rows_path)
    if path.exists():
        yield from check_torn_end(path, repair=repair)
        problems = {}
        for number, line in read_lines(path):
            try:
                key = key_of(parse_row(path, number, line))
            except DamagedRowError as error:
                problems[number] = error.problem
            except RunError as error:
                problems[number] = f"is no failure: {error}"
            else:
                if keys.settled(key):
                    problems[number] = f"group {_group_id(key)} has a row by now"
        if problems:
            yield from move_lines(path, problems, "nothing is lost", repair=repair)
    yield from _check_unsettled_rows(rows_path, path, keys, repair=repair)


def _check_unsettled_rows(
    rows_path: Path, path: Path, keys: Keys, *, repair: bool
) -> Iterator[Fault]:
    """Yield the unsettled rows without a failure, which is made of the row."""
    failed_keys = _read_failed_keys(path)
    files = list_shards(rows_path)
    rows = [
        (files[number - 1], line)
        for key, number, line in keys.unsettled()
        if key not in failed_keys
    ]
    if rows and repair:
        with closing(RowIndex(rows_path, key_of)) as done:
            failures = Failures(path, key_of, "fsck")
            try:
                failures.complete(rows_path, done)
            finally:
                failures.close()
    for file, line in rows:
        yield Fault(file, line, "undecided, and no failure says why", "told again of the row")


def _read_failed_keys(path: Path) -> set[str]:
    """Read the keys of the groups that have a failure; damaged lines are skipped."""
    keys = set()
    for number, line in read_lines(path) if path.exists() else ():
        with suppress(RunError):
            keys.add(key_of(parse_row(path, number, line)))
    return keys


def _check_manifest(rows_path: Path, keys: Keys, *, repair: bool) -> Iterator[Fault]:
    """Check the manifest's form, and compare its counts with the files."""
    path = manifest.manifest_file(rows_path)
    done, undecided = keys.count()
    failed = sum(keys.settled(key) is None for key in _read_failed_keys(failures_file(rows_path)))
    counts = KeptCounts(done + failed, done, failed, undecided)
    if not path.exists():
        if done or failed:
            yield _replace_manifest(rows_path, "is missing", counts, repair=repair)
        return
    try:
        status = status_of(path)
    except RunError as error:
        problem = str(error).removeprefix(f"{path}: ").partition(";")[0]
        yield _replace_manifest(rows_path, problem, counts, repair=repair)
        return
    if status.state == "ended" and status.failed > failed:
        problem = f"says that {status.failed} groups failed; the failures tell of {failed}"
        remedy = f"{RUN_AGAIN}: it asks again for what has no row"
        yield Fault(path, None, problem, remedy=remedy)
    elif (status.done, status.failed, status.undecided) != (done, failed, undecided):
        if repair:
            manifest.correct_counts(path, counts)
        problem = f"counts {status.done} done, {status.failed} failed, {status.undecided} undecided"
        correction = f"now {done}, {failed} and {undecided}, as the files hold"
        yield Fault(path, None, problem, correction)


def _replace_manifest(rows_path: Path, problem: str, counts: KeptCounts, *, repair: bool) -> Fault:
    path = manifest.manifest_file(rows_path)
    if repair:
        set_aside(path)
        manifest.rebuild_manifest(rows_path, counts)
    done = "made anew of the rows; the next run is held to their prompt and checkpoint"
    return Fault(path, None, problem, done)


def _check_parquet(rows_path: Path, *, repair: bool) -> Iterator[Fault]:
    """Yield Parquet files that were not made of the rows beside them."""
    shards = [path for path in list_shards(rows_path) if path.with_suffix(".parquet").exists()]
    if not shards or find_spec("pyarrow") is None:
        return
    from shenhe.rows.parquet import is_current, write_parquet  # an extra

    stale = [path.with_suffix(".parquet") for path in shards if not is_current(path)]
    if stale and repair:
        set_aside(*stale)
        write_parquet(rows_path)
    for path in stale:
        yield Fault(path, None, "damaged, or not of the rows beside it", "made anew of the rows")


def _group_id(key: str) -> str:
    return key.rpartition("\x1f")[2]
