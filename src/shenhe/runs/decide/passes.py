"""One pass over a file of verdicts: each is decided anew and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple

from shenhe.errors import RowError
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.row_types import Failure, Row, VerdictRow
from shenhe.rows.duplicates import DuplicateFinder, DuplicateRows
from shenhe.rows.keys import mission_of_file
from shenhe.rows.ledger import Json, read_lines
from shenhe.rows.readers import read_each, read_line
from shenhe.runs.decide.changes import Changes
from shenhe.runs.decide.groups import Groups
from shenhe.runs.decide.rows import decide_row, failure_of, read_again
from shenhe.shards import list_shards

NO_ROW: Final = "row"
"""Code of the failure of a line that is no verdict row."""


class Reading(NamedTuple):
    """How the texts of verdicts are read where their rows do not say it.

    `foreign` are the formats of other tools' texts, `again` those in which texts that could not be
    read are read again.
    """

    foreign: TextFormats = PLAIN
    again: TextFormats | None = None


AS_ROWS_SAY: Final = Reading()


class Pass:
    """One pass over the verdicts of a file.

    `repeats` are groups with several verdicts: one row is written of each, undecided if they
    differ. `finder` has taken note of all verdicts.
    """

    def __init__(
        self,
        path: Path,
        groups: Groups,
        timestamp: str,
        repeats: Mapping[str, DuplicateRows],
        reading: Reading = AS_ROWS_SAY,
    ) -> None:
        self._path, self._groups, self._repeats = path, groups, repeats
        self._timestamp, self._reading = timestamp, reading
        self.changes, self.finder = Changes(), DuplicateFinder()

    def write(
        self, rows: IO[bytes], failures: IO[bytes], start: int = 0, stop: int | None = None
    ) -> None:
        """Write a row a group, and the failures of those that are undecided, of some lines.

        Raises: RunError if rows cannot be read.
        """
        written: set[str] = set()
        for row in _read_verdicts(self._path, start, stop, self._reading.foreign):
            if isinstance(row, RowError):
                failures.write(_line(self._failure_of_line(row)))
                self.changes.failed += 1
                continue
            self.finder.add(row.key)
            if row.key in self._repeats:
                if row.key in written:
                    continue
                written.add(row.key)
            decided = self._decide(row)
            rows.write(_line(decided))
            if decided.verdict is None:
                failures.write(_line(failure_of(decided)))
            self.changes.add(row, decided)
        self.changes.unconfigured = self._groups.unconfigured

    def find_repeats(self) -> dict[str, DuplicateRows]:
        """Find the groups with several verdicts; only if hashes agree are the rows read again."""
        return self.finder.find(lambda: read_each(self._path, VerdictRow), _hash_statement)

    def _decide(self, row: VerdictRow) -> VerdictRow:
        if self._reading.again is not None:
            row = read_again(row, self._reading.again)
        lines, policy = self._groups.lines(row), self._groups.policy(row.mission)
        self.changes.with_lines += lines.is_listed
        repeats = self._repeats.get(row.key)
        if repeats is not None and not repeats.differ:
            repeats = None
        return decide_row(row, repeats, lines, policy, self._timestamp)

    def _failure_of_line(self, error: RowError) -> Failure:
        item = f"{error.path.name}:{error.number}"
        return Failure(
            item=item,
            group_id=item,
            mission=mission_of_file(self._path),
            label=None,
            code=NO_ROW,
            message=f"line {error.number} {error.problem}",
            timestamp=self._timestamp,
        )


def _read_verdicts(
    rows_path: Path, start: int, stop: int | None, formats: TextFormats
) -> Iterator[VerdictRow | RowError]:
    """Yield the rows of the lines from `start` up to `stop`, and the errors of those that are none.

    Raises: RunError if a file cannot be read.
    """
    lines = ((path, *line) for path in list_shards(rows_path) for line in read_lines(path))
    for path, number, line in islice(lines, start, stop):
        try:
            if not line.isspace():
                yield read_line(path, number, line, VerdictRow, formats)
        except RowError as error:
            yield error


def _hash_statement(row: Json) -> str:
    """Fingerprint what a verdict says of its group, 16 hex digits."""
    text = "\x1f".join(str(row.get(name)) for name in ("verdict", "reason", "raw", "p_pass"))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _line(row: Row) -> bytes:
    return (row.to_json() + "\n").encode()
