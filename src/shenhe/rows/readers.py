"""Typed rows of files: of this version, of older ones, and of other tools.

A line that is no row is named by its file, its line and its first wrong field, in one wording. In
an output of shenhe it ends the reading, as `fsck` mends it; in a file of another tool it is left
out and told, and the other rows go on.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from shenhe.errors import RowError, RunError
from shenhe.formats.text_formats import PLAIN, TextFormats
from shenhe.row_types import (
    CaptionFailure,
    CaptionRow,
    Failure,
    Row,
    SummaryRow,
    VerdictRow,
    describe_invalid,
)
from shenhe.rows.fields import group_id_of, label_of, mission_of
from shenhe.rows.foreign import complete, refuse_repeated_keys
from shenhe.rows.keys import key_of, mission_of_file
from shenhe.rows.ledger import Json, count_lines, parse_row, read_lines
from shenhe.rows.manifest import manifest_file
from shenhe.rows.responses import ResponseFailure, ResponseRow
from shenhe.rows.torn import count_torn_bytes
from shenhe.shards import first_shard, list_rows_files, list_shards

RowT = TypeVar("RowT", bound=Row)
ReadT = TypeVar("ReadT")

_KINDS: Final[Mapping[type[Row], str]] = {
    SummaryRow: "a Stage-A row",
    VerdictRow: "a verdict row",
    CaptionRow: "a caption row",
    ResponseRow: "an answer of infer",
    Failure: "a failure",
}
_META: Final = b'"meta"'
MAX_SHOWN: Final = 3
"""Maximum number of lines that are no rows and are named in one warning."""


class KeyedRow(NamedTuple, Generic[RowT]):
    """A row of which the key alone was read: most rows of a resumed run need no more."""

    key: str
    json: Json
    kind: type[RowT]
    path: Path
    line: int
    text: bytes = b""
    """The line itself, in which a key may stand twice."""

    def parse(self) -> RowT:
        """Check the whole row.

        Raises: RowError for a row of another form.
        """
        try:
            row = self.kind.model_validate(self.json)
        except ValidationError:
            return _fill_in(self.path, self.line, self.json, self.text, self.kind)
        return _refuse_repeated_keys(self.path, self.line, self.text, row)


def read_summaries(rows_path: Path) -> Iterator[SummaryRow]:
    """Yield the Stage-A rows of a file and of its further shards, one at a time.

    Warns of lines of another tool's file that are no rows.
    Raises: RunError that names the first row of another form in an output of shenhe.

        lines = {row.key: row.per_image for row in read_summaries(run_dir / "stage_a/a.jsonl")}
    """
    return _read(rows_path, SummaryRow)


def read_verdicts(rows_path: Path) -> Iterator[VerdictRow]:
    """Yield the verdict rows of a file and of its further shards; see `read_summaries`.

    Raises: RunError that names the first row of another form in an output of shenhe.
    """
    return _read(rows_path, VerdictRow)


def read_captions(rows_path: Path) -> Iterator[CaptionRow]:
    """Yield the caption rows of a file and of its further shards.

    Raises: RunError that names the first row of another form.
    """
    return _read(rows_path, CaptionRow)


def read_failures(path: Path) -> Iterator[Failure | CaptionFailure | ResponseFailure]:
    """Yield the failures of a file, none where there is no such file.

    Only the key must be as shenhe writes it: missing texts are empty, unknown keys are ignored.
    Raises: RunError that names the first row without a key.
    """
    for number, line in read_lines(path) if path.exists() else ():
        row = parse_row(path, number, line)
        _key(path, number, row, Failure)
        yield _failure(row)


def read_keyed(rows_path: Path, kind: type[RowT]) -> Iterator[KeyedRow[RowT]]:
    """Yield the rows of a file and of its further shards with their keys, otherwise unchecked.

    Raises: RunError that names the first row without a key in an output of shenhe.
    """
    return _tell_bad_rows(rows_path, kind, read_each(rows_path, kind))


def read_each(rows_path: Path, kind: type[RowT]) -> Iterator[KeyedRow[RowT] | RowError]:
    """Yield the rows of a file and of its further shards, and the errors of lines that are none.

    Raises: RunError if a file cannot be read.

        for row in read_each(Path("rows.jsonl"), SummaryRow):
            print(row.number if isinstance(row, RowError) else row.key)
    """
    for path in list_shards(rows_path):
        for number, line in read_lines(path):
            if line.isspace():
                continue
            try:
                row = parse_row(path, number, line)
                keyed = KeyedRow(_key(path, number, row, kind), row, kind, path, number, line)
            except RowError as error:
                yield error
            else:
                yield keyed


def read_with_offsets(path: Path, kind: type[RowT]) -> Iterator[tuple[int, RowT]]:
    """Yield the rows of one file, each after the byte at which it begins; see `read_summaries`.

    Raises: RunError that names the first row of another form in an output of shenhe.
    """
    return _tell_bad_rows(first_shard(path), kind, _with_offsets(path, kind))


def read_at(path: Path, offset: int, kind: type[RowT]) -> RowT:
    """Read the row that begins at a byte.

    Raises: RunError if the file cannot be read, or holds a row of another form there.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            line = file.readline()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return read_line(path, 0, line, kind)
    except RowError:  # only its message needs the number of the line, which takes long to count
        return read_line(path, count_lines(path, offset) + 1, line, kind)


def read_line(
    path: Path, number: int, line: bytes, kind: type[RowT], formats: TextFormats = PLAIN
) -> RowT:
    """Read one line of a file; from bytes, which is quicker, and step by step if that fails.

    `formats` are those of the texts of other tools.
    Raises: RowError for a line that is no row.
    """
    if _META in line:  # a row without it is another tool's
        try:
            row = kind.model_validate_json(line)
        except ValidationError:
            pass
        else:
            return _refuse_repeated_keys(path, number, line, row)
    return _fill_in(path, number, parse_row(path, number, line), line, kind, formats)


def caption_files(run_dir: Path) -> list[Path]:
    """List the files of caption rows in a run's folder: captions.jsonl, captions/*.jsonl."""
    candidates = [run_dir / "captions.jsonl", *list_rows_files(run_dir / "captions")]
    return [path for path in candidates if path.is_file()]


def _read(rows_path: Path, kind: type[RowT]) -> Iterator[RowT]:
    each = (row for path in list_shards(rows_path) for row in _with_offsets(path, kind))
    for _, row in _tell_bad_rows(rows_path, kind, each):
        yield row


def _with_offsets(path: Path, kind: type[RowT]) -> Iterator[tuple[int, RowT] | RowError]:
    offset = 0
    for number, line in read_lines(path):
        try:
            if not line.isspace():
                yield offset, read_line(path, number, line, kind)
        except RowError as error:
            yield error
        offset += len(line)


def _tell_bad_rows(
    rows_path: Path, kind: type[Row], rows: Iterator[ReadT | RowError]
) -> Iterator[ReadT]:
    """Yield the rows; lines that are none are told at the end, if another tool wrote them.

    In an output of shenhe, which has a manifest, nothing may be missing: there they are errors, as
    they are in a file that holds no row at all.
    """
    is_own = kind not in (SummaryRow, VerdictRow) or manifest_file(rows_path).exists()
    is_empty, bad_rows = True, 0
    first_errors: list[RowError] = []
    for row in rows:
        if not isinstance(row, RowError):
            is_empty = False
            yield row
            continue
        if is_own:
            raise row
        bad_rows += 1
        if bad_rows <= MAX_SHOWN:
            first_errors.append(row)
    if not is_own and count_torn_bytes(rows_path):
        last = list_shards(rows_path)[-1]
        number = count_lines(last, last.stat().st_size) + 1
        bad_rows += 1
        first_errors.append(RowError(last, number, "ends in the middle of a row"))
    if first_errors:
        if is_empty:
            raise first_errors[0]
        warnings.warn(_describe_bad_rows(rows_path, bad_rows, first_errors), stacklevel=2)


def _describe_bad_rows(rows_path: Path, count: int, first_errors: list[RowError]) -> str:
    lines = "1 line" if count == 1 else f"{count} lines"
    listed = "; ".join(
        f"{'' if error.path == rows_path else f'{error.path.name}, '}line {error.number}"
        f" {error.problem}"
        for error in first_errors[:MAX_SHOWN]
    )
    hidden = f"; +{count - MAX_SHOWN}" if count > MAX_SHOWN else ""
    return f"{rows_path}: {lines} could not be read: {listed}{hidden}"


def _fill_in(
    path: Path,
    number: int,
    row: Json,
    line: bytes,
    kind: type[RowT],
    formats: TextFormats = PLAIN,
) -> RowT:
    """Type a row that is not as shenhe writes it, as one of another tool."""
    try:
        typed = kind.model_validate(complete(row, kind, mission_of_file(path), formats))
    except ValidationError as error:
        raise _other_form(path, number, kind, describe_invalid(error)) from error
    except RunError as error:
        raise _other_form(path, number, kind, str(error)) from error
    return _refuse_repeated_keys(path, number, line, typed)


def _refuse_repeated_keys(path: Path, number: int, line: bytes, row: RowT) -> RowT:
    """Give a row, unless one of its lines or verdicts hides another under the same key."""
    if isinstance(row, SummaryRow | VerdictRow):
        try:
            refuse_repeated_keys(line, row)
        except RunError as error:
            raise _other_form(path, number, type(row), str(error)) from error
    return row


def _key(path: Path, number: int, row: Json, kind: type[Row]) -> str:
    try:
        return key_of(row, None if kind is Failure else mission_of_file(path))
    except RunError as error:
        raise _other_form(path, number, kind, str(error)) from error


def _other_form(path: Path, number: int, kind: type[Row], problem: str) -> RowError:
    return RowError(path, number, f"is not {_KINDS[kind]}: {problem}")


def _failure(row: Json) -> Failure | CaptionFailure | ResponseFailure:
    """Type a failure whose key was checked."""
    texts = {name: _text(row.get(name)) or "" for name in ("item", "code", "message", "timestamp")}
    optional = {name: _text(row.get(name)) for name in ("raw", "session")}
    if "dataset" in row and "line" in row and "group_id" not in row:
        position = {name: row[name] for name in ("id", "dataset", "line")}
        return ResponseFailure.model_validate(texts | optional | position)
    if "group_id" not in row:
        return CaptionFailure.model_validate(texts | optional | {"images": row["images"]})
    group = {"group_id": group_id_of(row), "mission": mission_of(row), "label": label_of(row)}
    return Failure.model_validate(texts | optional | group)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
