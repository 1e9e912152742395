"""One output: its rows, index, manifest, failures and Parquet files against each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
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
from shenhe.runs.fsck.rows import Keys, check_rows, check_torn_end, move_lines
from shenhe.shards import list_shards

REPEAT = "run the same command again"


def check_output(rows_path: Path, *, mend: bool) -> Iterator[Fault]:
    """Yield what is wrong with one output, having mended what can be.

    Raises: OutputBusyError while a run writes to it; RunError.
    """
    with OutputLock(rows_path), closing(Keys()) as keys:
        yield from _leftovers(rows_path, mend=mend)
        yield from check_rows(rows_path, keys, mend=mend)
        yield from _check_index(rows_path, keys, mend=mend)
        yield from _check_failures(rows_path, keys, mend=mend)
        yield from _check_manifest(rows_path, keys, mend=mend)
        yield from _check_parquet(rows_path, mend=mend)


def _leftovers(rows_path: Path, *, mend: bool) -> Iterator[Fault]:
    """Find files that were being written when a process died: the whole ones lie beside them."""
    made_beside = [manifest.manifest_file(rows_path).with_suffix(".new")]
    made_beside.append(failures_file(rows_path).with_suffix(".rewriting"))
    for path in list_shards(rows_path):
        made_beside += [path.with_suffix(".rewriting"), path.with_suffix(".new")]
    for path in made_beside:
        if path.exists():
            done = f"is {set_aside(path)[0].name} now" if mend else "would be set aside"
            yield Fault(path, None, "left of a write that was cut short", done)


def _check_index(rows_path: Path, keys: Keys, *, mend: bool) -> Iterator[Fault]:
    """Compare the index, which may lag behind, with what the rows hold."""
    path = index_file(rows_path)
    if not path.exists():
        return
    try:
        problem = _index_problem(path, keys)
    except index_tables.DAMAGED as error:
        problem = f"damaged: {error}"
    if problem:
        if mend:
            drop_index(rows_path)
            RowIndex(rows_path, key_of).close()
        yield Fault(path, None, problem, "made anew of the rows")


def _index_problem(path: Path, keys: Keys) -> str:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
        if db.execute("PRAGMA user_version").fetchone()[0] != index_tables.LAYOUT:
            return ""  # of an earlier shenhe: the next run makes it anew
        if tuple(db.execute(index_tables.SELECT_STATE).fetchone()[3:]) != index_tables.count_keys(
            db
        ):
            return "does not hold what it says"
        for key, settled in db.execute("SELECT key, settled FROM rows"):
            if keys.settled(key) is not bool(settled):
                return f"says what the rows do not, of group {key.rpartition(chr(0x1F))[2]}"
    return ""


def _check_failures(rows_path: Path, keys: Keys, *, mend: bool) -> Iterator[Fault]:
    """Check the lines of the failures, and that each row that decides nothing has one."""
    path = failures_file(rows_path)
    if path.exists():
        yield from check_torn_end(path, mend=mend)
        wrong = {}
        for number, line in read_lines(path):
            try:
                key = key_of(parse_row(path, number, line))
            except DamagedRowError as error:
                wrong[number] = error.problem
            except RunError as error:
                wrong[number] = f"is no failure: {error}"
            else:
                if keys.settled(key):
                    wrong[number] = f"group {key.rpartition(chr(0x1F))[2]} has a row by now"
        if wrong:
            yield from move_lines(path, wrong, "nothing is lost", mend=mend)
    yield from _without_failure(rows_path, path, keys, mend=mend)


def _without_failure(rows_path: Path, path: Path, keys: Keys, *, mend: bool) -> Iterator[Fault]:
    told = _told(path)
    files = list_shards(rows_path)
    without = [
        (files[number - 1], line) for key, number, line in keys.unsettled() if key not in told
    ]
    if without and mend:
        with closing(RowIndex(rows_path, key_of)) as done:
            failures = Failures(path, key_of, "fsck")
            try:
                failures.complete(rows_path, done)
            finally:
                failures.close()
    for rows, line in without:
        yield Fault(rows, line, "undecided, and no failure says why", "told again of the row")


def _told(path: Path) -> set[str]:
    """Give the groups that failures tell of; a line that is to be mended tells of none."""
    told = set()
    for number, line in read_lines(path) if path.exists() else ():
        with suppress(RunError):
            told.add(key_of(parse_row(path, number, line)))
    return told


def _check_manifest(rows_path: Path, keys: Keys, *, mend: bool) -> Iterator[Fault]:
    """Check the manifest's form, and compare its counts with what there is."""
    path = manifest.manifest_file(rows_path)
    done, undecided = keys.count()
    told = _told(failures_file(rows_path))
    failed = sum(keys.settled(key) is None for key in told)
    counts = KeptCounts(done + failed, done, failed, undecided)
    if not path.exists():
        if done or failed:
            yield _anew(rows_path, "is missing", counts, mend=mend)
        return
    try:
        before = status_of(path)
    except RunError as error:
        problem = str(error).removeprefix(f"{path}: ").partition(";")[0]
        yield _anew(rows_path, problem, counts, mend=mend)
        return
    if before.state == "ended" and before.failed > failed:
        what = f"says that {before.failed} groups failed; the failures tell of {failed}"
        remedy = f"{REPEAT}: it asks again for what has no row"
        yield Fault(path, None, what, remedy=remedy)
    elif (before.done, before.failed, before.undecided) != (done, failed, undecided):
        if mend:
            manifest.correct_counts(path, counts)
        what = f"counts {before.done} done, {before.failed} failed, {before.undecided} undecided"
        yield Fault(path, None, what, f"now {done}, {failed} and {undecided}, as the files hold")


def _anew(rows_path: Path, problem: str, counts: KeptCounts, *, mend: bool) -> Fault:
    path = manifest.manifest_file(rows_path)
    if mend:
        set_aside(path)
        manifest.rebuild_manifest(rows_path, counts)
    done = "made anew of the rows; the next run is held to their prompt and checkpoint"
    return Fault(path, None, problem, done)


def _check_parquet(rows_path: Path, *, mend: bool) -> Iterator[Fault]:
    """Find Parquet files that are not of the rows beside them."""
    targets = [path for path in list_shards(rows_path) if path.with_suffix(".parquet").exists()]
    if not targets or find_spec("pyarrow") is None:
        return
    from shenhe.rows.parquet import is_current, write_parquet  # an extra

    stale = [path.with_suffix(".parquet") for path in targets if not is_current(path)]
    if stale and mend:
        set_aside(*stale)
        write_parquet(rows_path)
    for path in stale:
        yield Fault(path, None, "damaged, or not of the rows beside it", "made anew of the rows")
