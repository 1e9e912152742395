"""Check of the lines of rows files: which are rows, and the group of each."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.errors import DamagedRowError, RowError, RunError
from shenhe.row_types import SCHEMA, CaptionRow, Row, SummaryRow, VerdictRow
from shenhe.rows.entries import is_settled
from shenhe.rows.fields import meta_of
from shenhe.rows.keys import key_of, mission_of_file
from shenhe.rows.ledger import Json, parse_row, read_lines, set_lines_aside, set_torn_end_aside
from shenhe.rows.manifest import manifest_file
from shenhe.rows.readers import KeyedRow, read_each
from shenhe.rows.responses import ResponseRow
from shenhe.rows.torn import terminate_last_row
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.fsck.faults import Fault
from shenhe.shards import list_shards

NO_LINE_END: Final = "its last row has no line end"
KEEP_ONE: Final = (
    "its verdict is undecided (duplicate_group) until the wrong row is removed by hand: nobody else"
    " knows which one that is"
)


class EarlierRow(NamedTuple):
    """An earlier row of a group: its shard and line, and the fingerprint of its Stage-A lines."""

    shard: int
    line: int
    lines_hash: str


class Keys:
    """The groups of a rows file and the line of each, in a temporary database."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("BEGIN")
        self._db.execute(
            "CREATE TABLE keys (key TEXT PRIMARY KEY, settled INTEGER, shard INTEGER, line INTEGER,"
            " lines_hash TEXT) WITHOUT ROWID"
        )

    def add(
        self, key: str, *, settled: bool, shard: int, line: int, lines_hash: str
    ) -> EarlierRow | None:
        """Note a row, and return the earlier one of the same group."""
        earlier = self._db.execute(
            "SELECT shard, line, lines_hash FROM keys WHERE key = ?", (key,)
        ).fetchone()
        row = (key, settled, shard, line, lines_hash)
        self._db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", row)
        return EarlierRow(*earlier) if earlier else None

    def settled(self, key: str) -> bool | None:
        """Whether the row of a group decides; None if it has no row."""
        row = self._db.execute("SELECT settled FROM keys WHERE key = ?", (key,)).fetchone()
        return bool(row[0]) if row else None

    def unsettled(self) -> Iterator[tuple[str, int, int]]:
        """Yield the groups whose row decides nothing, with its shard and its line."""
        yield from self._db.execute("SELECT key, shard, line FROM keys WHERE NOT settled")

    def count(self) -> tuple[int, int]:
        """Count all groups, and those that are not settled."""
        query = "SELECT count(*), coalesce(sum(NOT settled), 0) FROM keys"
        groups, unsettled = self._db.execute(query).fetchone()
        return int(groups), int(unsettled)

    def close(self) -> None:
        """Drop the database."""
        self._db.close()


def is_of_another_tool(rows_path: Path) -> bool:
    """Whether another tool wrote rows: no manifest and no prompt says that shenhe did."""
    if manifest_file(rows_path).exists():
        return False
    rows = (row for row in read_each(rows_path, VerdictRow) if not isinstance(row, RowError))
    first = next(rows, None)
    return first is not None and not meta_of(first.json).get("prompt_hash")


def check_rows(rows_path: Path, keys: Keys, *, repair: bool) -> Iterator[Fault]:
    """Yield the faults of the lines of rows, and note the groups of the valid ones.

    A line that is no row is moved aside; the next run does its group. If a group has several rows
    the last one counts, as everywhere; but Stage-A rows with different lines all stay, as nobody
    can tell which one is right, and the group is undecided.
    Raises: RunError.
    """
    files = list_shards(rows_path)
    mission = mission_of_file(rows_path) if is_of_another_tool(rows_path) else None
    for path in files:
        yield from check_torn_end(path, repair=repair)
    problems: defaultdict[Path, dict[int, str]] = defaultdict(dict)
    for number, path in enumerate(files, 1):
        for line_number, line in read_lines(path):
            row, problem = _read(path, line_number, line, mission)
            if problem:
                problems[path][line_number] = problem
                continue
            lines_hash = hash_inputs(row) if "per_image" in row else ""
            earlier = keys.add(
                key_of(row, mission),
                settled=is_settled(row),
                shard=number,
                line=line_number,
                lines_hash=lines_hash,
            )
            if earlier is None:
                continue
            problem = f"group {row.get('group_id', row.get('images'))} stands again below"
            if earlier.lines_hash == lines_hash:
                problems[files[earlier.shard - 1]][earlier.line] = problem
            else:
                problem += " with other lines"
                yield Fault(files[earlier.shard - 1], earlier.line, problem, remedy=KEEP_ONE)
    for path, lines in problems.items():
        yield from move_lines(path, lines, "the next run does its group", repair=repair)


def check_torn_end(path: Path, *, repair: bool) -> Iterator[Fault]:
    """Yield what a killed process left behind the last whole line, moved aside.

    A last row that lacks its line end alone is given one.
    """
    if terminate_last_row(path, repair=repair):
        yield Fault(path, None, NO_LINE_END, "it has one now")
        return
    aside = set_torn_end_aside(path, repair=repair)
    if aside is not None:
        done = f"what was being written is in {aside.name}"
        yield Fault(path, None, "ends in the middle of a row", done)


def move_lines(
    path: Path, problems: dict[int, str], consequence: str, *, repair: bool
) -> Iterator[Fault]:
    """Move lines to a file beside theirs, and yield their problems by line number."""
    aside = f"in {set_lines_aside(path, problems).name}" if repair else "set aside"
    for number, problem in sorted(problems.items()):
        yield Fault(path, number, problem, f"{aside}; {consequence}")


def _read(path: Path, number: int, line: bytes, mission: str | None) -> tuple[Json, str]:
    """Parse a line, and describe why it is no row; empty if it is one. See `key_of`."""
    try:
        row = parse_row(path, number, line)
    except DamagedRowError as error:
        return {}, error.problem
    try:
        key = key_of(row, mission)
        key.encode()
    except (RunError, UnicodeEncodeError) as error:
        return row, f"is no row: {error}"
    return row, _find_problem(KeyedRow(key, row, _type_of(row), path, number, line))


def _type_of(row: Json) -> type[Row]:
    if "group_id" in row:
        return SummaryRow if "per_image" in row else VerdictRow
    return ResponseRow if "dataset" in row and "line" in row else CaptionRow


def _find_problem(row: KeyedRow[Row]) -> str:
    """Describe why a JSON object is no row; empty if it is one, or one of a later version."""
    schema = meta_of(row.json).get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        return ""
    try:
        row.parse()
    except RowError as error:
        return error.problem
    return ""
