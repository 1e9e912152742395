"""The lines of rows files, one at a time: which are rows, and which group each is about."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import ValidationError

from shenhe.errors import DamagedRowError, RunError
from shenhe.row_types import SCHEMA, CaptionRow, Row, SummaryRow, VerdictRow
from shenhe.rows.entries import is_settled
from shenhe.rows.keys import key_of
from shenhe.rows.ledger import Json, parse_row, read_lines, set_lines_aside, set_torn_end_aside
from shenhe.rows.torn import terminate_last_row
from shenhe.rows.verdict_inputs import hash_inputs
from shenhe.runs.fsck.faults import Fault
from shenhe.shards import list_shards

KEEP_ONE: Final = (
    "its verdict is undecided (duplicate_group) until the wrong row is removed by hand: nobody else"
    " knows which one that is"
)


class Earlier(NamedTuple):
    """An earlier row of a group: its shard and line, and a fingerprint of its Stage-A lines."""

    shard: int
    line: int
    says: str


class Keys:
    """The groups of a rows file with the line of each, in a database of its own: kept nowhere."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("BEGIN")
        self._db.execute(
            "CREATE TABLE keys (key TEXT PRIMARY KEY, settled INTEGER, shard INTEGER, line INTEGER,"
            " says TEXT) WITHOUT ROWID"
        )

    def add(self, key: str, *, settled: bool, shard: int, line: int, says: str) -> Earlier | None:
        """Note a row; give the earlier one of the same group."""
        before = self._db.execute(
            "SELECT shard, line, says FROM keys WHERE key = ?", (key,)
        ).fetchone()
        row = (key, settled, shard, line, says)
        self._db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?, ?, ?)", row)
        return Earlier(*before) if before else None

    def settled(self, key: str) -> bool | None:
        """Whether the row of a group decides; None where it has none."""
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
        """Forget them."""
        self._db.close()


def check_rows(rows_path: Path, keys: Keys, *, mend: bool) -> Iterator[Fault]:
    """Yield what is wrong with the lines of rows, and note the groups of those that are rows.

    A line that is none is moved to a file beside; its group is then done by the next run. Of a
    group that stands twice the last row counts, as everywhere; but of Stage-A rows with other lines
    none is chosen: they stay, as its verdict would else rest on lines that somebody contradicts.
    Raises: RunError.
    """
    files = list_shards(rows_path)
    for path in files:
        yield from check_torn_end(path, mend=mend)
    wrong: defaultdict[Path, dict[int, str]] = defaultdict(dict)
    for number, path in enumerate(files, 1):
        for line_number, line in read_lines(path):
            row, problem = _read(path, line_number, line)
            if problem:
                wrong[path][line_number] = problem
                continue
            settled = is_settled(row)
            says = hash_inputs(row) if "per_image" in row else ""
            before = keys.add(
                key_of(row), settled=settled, shard=number, line=line_number, says=says
            )
            if before is None:
                continue
            what = f"group {row.get('group_id', row.get('images'))} stands again below"
            if before.says == says:
                wrong[files[before.shard - 1]][before.line] = what
            else:
                what += " with other lines"
                yield Fault(files[before.shard - 1], before.line, what, remedy=KEEP_ONE)
    for path, lines in wrong.items():
        yield from move_lines(path, lines, "the next run does its group", mend=mend)


def check_torn_end(path: Path, *, mend: bool) -> Iterator[Fault]:
    """Yield what a process left behind the last whole line when it died, moved aside.

    A last row that lacks nothing but its end is given one.
    """
    if terminate_last_row(path, repair=mend):
        yield Fault(path, None, "its last row has no line end", "it has one now")
        return
    aside = set_torn_end_aside(path, repair=mend)
    if aside is not None:
        done = f"what was being written is in {aside.name}"
        yield Fault(path, None, "ends in the middle of a row", done)


def move_lines(path: Path, lines: dict[int, str], then: str, *, mend: bool) -> Iterator[Fault]:
    """Yield what is wrong with lines, having moved them to a file beside theirs."""
    aside = f"in {set_lines_aside(path, lines).name}" if mend else "set aside"
    for number, problem in sorted(lines.items()):
        yield Fault(path, number, problem, f"{aside}; {then}")


def _read(path: Path, number: int, line: bytes) -> tuple[Json, str]:
    """Read a line, and say why it is no row, where it is none."""
    try:
        row = parse_row(path, number, line)
    except DamagedRowError as error:
        return {}, error.problem
    return row, _problem(row)


def _problem(row: Json) -> str:
    """Say why a JSON object is no row; nothing where it is one, or one of a later shenhe."""
    try:
        key_of(row).encode()
    except (RunError, UnicodeEncodeError) as error:
        return f"is no row: {error}"
    meta = row.get("meta")
    schema = meta.get("schema") if isinstance(meta, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        return ""
    kind: type[Row] = CaptionRow
    if "group_id" in row:
        kind = SummaryRow if "per_image" in row else VerdictRow
    try:
        kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        return f"is not as shenhe writes it: {where}: {first['msg']}"
    return ""
