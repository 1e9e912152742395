"""The failures beside a rows file: the last word on each group that has no row that decides.

Which word is the last is told by the session that wrote it, never by the clock, which may step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from shenhe.errors import DamagedRowError, RunError
from shenhe.row_types import CaptionFailure, Failure, utc_now
from shenhe.rows.ledger import Json, Ledger, parse_row, read_rows, rewrite, whole_lines
from shenhe.rows.row_index import RowIndex

KeyOf = Callable[[Json], str]
_INCOMPLETE = "第一阶段未完成"
"""What the reason of a row begins with whose Stage-A is not complete."""
_SESSION, _NO_SESSION = re.compile(rb'"session":"[^"]*"'), b'"session":null'
"""A row's own words: within its texts every quote has a backslash before it."""
_CODED = re.compile(r"([a-z][a-z0-9_]*): (.*)", re.DOTALL)


class Failures:
    """The failures of an output under way."""

    def __init__(self, path: Path, key_of: KeyOf, session: str) -> None:
        """Open them, which must have no torn end.

        Raises: DamagedRowError for a line that is none; RunError.
        """
        self._path, self._key_of, self._session = path, key_of, session
        self._last: dict[str, str | None] = read_sessions(path, key_of)
        self._file = Ledger(path)

    def add(self, key: str, failures: Sequence[Failure | CaptionFailure]) -> None:
        """Append what went wrong with a group in this session.

        Raises: RunError.
        """
        signed = (failure.model_copy(update={"session": self._session}) for failure in failures)
        self._file.append(*signed)
        self._last[key] = self._session

    def complete(self, rows_path: Path, done: RowIndex) -> None:
        """Write the failures of undecided rows that have none, as a power cut leaves them.

        Raises: RunError.
        """
        missing = {key for key in done.keys(unsettled=True) if key not in self._last}
        for row in read_rows(rows_path) if missing else ():
            key = self._key_of(row)
            if key in missing:
                self.add(key, [failure_of_row(row)])
                missing.discard(key)

    def tidy(self, done: RowIndex) -> None:
        """Drop what is no longer true: of groups that are settled, or that were told of anew.

        What is left is the last word of all sessions, and need not say of which: a run that was
        killed ends with the same rows as one that was not.
        Raises: RunError.
        """

        def still_true(failure: Json) -> bool:
            key = self._key_of(failure)
            return not done.settled(key) and failure.get("session") == self._last.get(key)

        self._file.sync()
        rewrite(self._path, still_true, lambda line: _SESSION.sub(_NO_SESSION, line))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_sessions(path: Path, key_of: KeyOf) -> dict[str, str | None]:
    """Read which session was the last to tell of each group; None where it did not say.

    Raises: DamagedRowError for a line that is no failure; RunError.
    """
    sessions: dict[str, str | None] = {}
    for number, line in whole_lines(path) if path.exists() else ():
        row = parse_row(path, number, line)
        try:
            key = key_of(row)
        except RunError as error:
            raise DamagedRowError(path, number, f"is no failure of shenhe's: {error}") from error
        session = row.get("session")
        sessions[key] = session if isinstance(session, str) else None
    return sessions


def failure_of_row(row: Json) -> Failure:
    """Tell again why a group is undecided, of what its verdict row says."""
    reason, meta = str(row.get("reason") or ""), row.get("meta")
    coded = _CODED.fullmatch(reason)
    whys = meta.get("why") if isinstance(meta, dict) else None
    code = coded[1] if coded else "undecided"
    if isinstance(whys, list) and whys:
        code = str(whys[0])
    elif reason.startswith(_INCOMPLETE):
        code = "stage_a_incomplete"
    left_out = meta.get("left_out") if isinstance(meta, dict) else None
    if left_out and not reason:
        reason = "not looked at: " + ", ".join(str(one.get("path")) for one in left_out)
    return Failure(
        item=str(row["group_id"]),
        group_id=str(row["group_id"]),
        mission=str(row["mission"]),
        label=row["label"],
        code=code,
        message=coded[2] if coded else reason,
        raw=str(row["raw"]) if row.get("raw") else None,
        timestamp=utc_now(),
    )
