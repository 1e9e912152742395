"""The failures beside a rows file: the latest ones of each group without a deciding row.

Which are the latest depends on the session that wrote them, never on the clock, which may step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from shenhe.errors import DamagedRowError, RunError
from shenhe.photos import is_photo
from shenhe.row_types import CaptionFailure, Failure, FailureReason, utc_now
from shenhe.rows.fields import label_of, meta_of
from shenhe.rows.ledger import Json, Ledger, parse_row, read_lines, read_rows, rewrite
from shenhe.rows.responses import ResponseFailure
from shenhe.rows.row_index import RowIndex
from shenhe.rows.statements import split_reason

KeyOf = Callable[[Json], str]
_SESSION, _NO_SESSION = re.compile(rb'"session":"[^"]*"'), b'"session":null'
"""These are keys of the row: inside its texts every quote has a backslash before it."""


class Failures:
    """The failures of an output that a run writes."""

    def __init__(self, path: Path, key_of: KeyOf, session: str) -> None:
        """Open the file, which must have no torn end.

        Raises: DamagedRowError for a line that is no failure; RunError.
        """
        self._path, self._key_of, self._session = path, key_of, session
        self._last: dict[str, str | None] = read_sessions(path, key_of)
        self._file = Ledger(path)

    def add(self, key: str, failures: Sequence[Failure | CaptionFailure | ResponseFailure]) -> None:
        """Append the failures of a group in this session.

        Raises: RunError.
        """
        signed = (failure.model_copy(update={"session": self._session}) for failure in failures)
        self._file.append(*signed)
        self._last[key] = self._session

    def complete(self, rows_path: Path, done: RowIndex) -> None:
        """Write the failures of undecided rows that lost theirs, as in a power cut.

        Raises: RunError.
        """
        missing = {key for key in done.keys(unsettled=True) if key not in self._last}
        for row in read_rows(rows_path) if missing else ():
            key = self._key_of(row)
            if key in missing:
                self.add(key, [failure_of_row(row)])
                missing.discard(key)

    def tidy(self, done: RowIndex) -> None:
        """Drop the failures of groups that are settled, or that failed again in a later session.

        The others lose their session: a run that was killed ends with the same rows as one that
        was not.
        Raises: RunError.
        """

        def is_latest(failure: Json) -> bool:
            key = self._key_of(failure)
            return not done.settled(key) and failure.get("session") == self._last.get(key)

        self._file.sync()
        rewrite(self._path, is_latest, lambda line: _SESSION.sub(_NO_SESSION, line))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_of_photo(failure: FailureReason) -> bool:
    """Whether a failure is that of a photo, in whose folder those of its group are."""
    return isinstance(failure, Failure) and is_photo(failure.item)


def read_sessions(path: Path, key_of: KeyOf) -> dict[str, str | None]:
    """Read the latest session that wrote failures of each group; None if that is not noted.

    Raises: DamagedRowError for a line that is no failure; RunError.
    """
    sessions: dict[str, str | None] = {}
    for number, line in read_lines(path) if path.exists() else ():
        row = parse_row(path, number, line)
        try:
            key = key_of(row)
        except RunError as error:
            raise DamagedRowError(path, number, f"is no failure of shenhe's: {error}") from error
        session = row.get("session")
        sessions[key] = session if isinstance(session, str) else None
    return sessions


def failure_of_row(row: Json) -> Failure:
    """Derive from an undecided verdict row the failure that says why it is undecided."""
    reason, meta = str(row.get("reason") or ""), meta_of(row)
    codes, left_out = meta.get("why"), meta.get("left_out")
    code, message = split_reason(reason)
    if isinstance(codes, list) and codes:
        code = str(codes[0])
    if isinstance(left_out, list) and left_out and not reason:
        message = "not looked at: " + ", ".join(str(file.get("path")) for file in left_out)
    return Failure(
        item=str(row["group_id"]),
        group_id=str(row["group_id"]),
        mission=str(row["mission"]),
        label=label_of(row),
        code=code or "undecided",
        message=message,
        raw=str(row["raw"]) if row.get("raw") else None,
        timestamp=utc_now(),
    )
