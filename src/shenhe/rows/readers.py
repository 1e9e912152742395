"""Typed rows of files: of this version, of older ones, and of other tools.

A row of another form is named by its file, its line and its first wrong field, in one wording.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from shenhe.errors import RunError
from shenhe.row_types import (
    CaptionFailure,
    CaptionRow,
    Failure,
    Row,
    SummaryRow,
    VerdictRow,
    describe_invalid,
)
from shenhe.rows.keys import key_of
from shenhe.rows.ledger import Json, count_lines, parse_row, read_lines
from shenhe.shards import list_rows_files, list_shards

RowT = TypeVar("RowT", bound=Row)

_KINDS: Final[Mapping[type[Row], str]] = {
    SummaryRow: "a Stage-A row",
    VerdictRow: "a verdict row",
    CaptionRow: "a caption row",
    Failure: "a failure",
}


class KeyedRow(NamedTuple, Generic[RowT]):
    """A row of which the key alone was read: most rows of a resumed run need no more."""

    key: str
    json: Json
    kind: type[RowT]
    path: Path
    line: int

    def parse(self) -> RowT:
        """Check the whole row.

        Raises: RunError for a row of another form.
        """
        return _check(self.path, self.line, self.json, self.kind)


def read_summaries(rows_path: Path) -> Iterator[SummaryRow]:
    """Yield the Stage-A rows of a file and of its further shards, one at a time.

    Raises: RunError that names the first row of another form.

        lines = {row.key: row.per_image for row in read_summaries(run_dir / "stage_a/a.jsonl")}
    """
    return _read(rows_path, SummaryRow)


def read_verdicts(rows_path: Path) -> Iterator[VerdictRow]:
    """Yield the verdict rows of a file and of its further shards; see `read_summaries`.

    Raises: RunError that names the first row of another form.
    """
    return _read(rows_path, VerdictRow)


def read_captions(rows_path: Path) -> Iterator[CaptionRow]:
    """Yield the caption rows of a file and of its further shards; see `read_summaries`.

    Raises: RunError that names the first row of another form.
    """
    return _read(rows_path, CaptionRow)


def read_failures(path: Path) -> Iterator[Failure | CaptionFailure]:
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

    Raises: RunError that names the first row without a key.
    """
    for path in list_shards(rows_path):
        for number, line in read_lines(path):
            row = parse_row(path, number, line)
            yield KeyedRow(_key(path, number, row, kind), row, kind, path, number)


def read_with_offsets(path: Path, kind: type[RowT]) -> Iterator[tuple[int, RowT]]:
    """Yield the rows of one file, each after the byte at which it begins.

    Raises: RunError that names the first row of another form.
    """
    offset = 0
    for number, line in read_lines(path):
        yield offset, _parse(path, number, line, kind)
        offset += len(line)


def read_at(path: Path, offset: int, kind: type[RowT]) -> RowT:
    """Read the row that begins at a byte.

    Raises: RunError if the file cannot be read, or holds a row of another form there.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            line = file.readline()
        return kind.model_validate_json(line)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError:
        return _parse(path, count_lines(path, offset) + 1, line, kind)


def caption_files(run_dir: Path) -> list[Path]:
    """List the files of caption rows in a run's folder: captions.jsonl, captions/*.jsonl."""
    candidates = [run_dir / "captions.jsonl", *list_rows_files(run_dir / "captions")]
    return [path for path in candidates if path.is_file()]


def _read(rows_path: Path, kind: type[RowT]) -> Iterator[RowT]:
    for path in list_shards(rows_path):
        for number, line in read_lines(path):
            yield _parse(path, number, line, kind)


def _parse(path: Path, number: int, line: bytes, kind: type[RowT]) -> RowT:
    """Read one line; from bytes, which is quicker, and once more step by step if that fails."""
    try:
        return kind.model_validate_json(line)
    except ValidationError:
        return _check(path, number, parse_row(path, number, line), kind)


def _check(path: Path, number: int, row: Json, kind: type[RowT]) -> RowT:
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        raise _other_form(path, number, kind, describe_invalid(error)) from error


def _key(path: Path, number: int, row: Json, kind: type[Row]) -> str:
    try:
        return key_of(row)
    except RunError as error:
        raise _other_form(path, number, kind, str(error)) from error


def _other_form(path: Path, number: int, kind: type[Row], problem: str) -> RunError:
    return RunError(f"{path}: line {number} is not {_KINDS[kind]}: {problem}")


def _failure(row: Json) -> Failure | CaptionFailure:
    """Type a failure whose key was checked."""
    texts = {name: _text(row.get(name)) or "" for name in ("item", "code", "message", "timestamp")}
    optional = {name: _text(row.get(name)) for name in ("raw", "session")}
    if "group_id" not in row:
        return CaptionFailure.model_validate(texts | optional | {"images": row["images"]})
    group = {"group_id": str(row["group_id"]), "mission": str(row["mission"])}
    return Failure.model_validate(texts | optional | group | {"label": row["label"]})


def _text(value: object) -> str | None:
    return None if value is None else str(value)
