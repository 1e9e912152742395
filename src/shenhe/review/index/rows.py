"""Typed rows and the offsets at which they stand in their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from shenhe.errors import RunError
from shenhe.row_types import Row
from shenhe.rows.ledger import parse_row
from shenhe.rows.torn import is_row

AnyRow = TypeVar("AnyRow", bound=Row)


class LocatedRow(NamedTuple, Generic[AnyRow]):
    """A row with its file and its offset there. Units: bytes."""

    path: Path
    offset: int
    row: AnyRow


def read_located_rows(paths: Iterable[Path], kind: type[AnyRow]) -> Iterator[LocatedRow[AnyRow]]:
    """Yield the rows of files, without torn last lines.

    Raises: RunError with the line of the first row of another kind.
    """
    for path in paths:
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n") or is_row(line):
                    yield LocatedRow(path, offset, _parse(path, number, line, kind))
                offset += len(line)


def read_row_at(path: Path, offset: int, kind: type[AnyRow]) -> AnyRow:
    """Read the row at an offset. Units: bytes.

    Raises: RunError if it cannot be read, or is of another kind.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _parse(path, 0, file.readline(), kind)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error


def _parse(path: Path, number: int, line: bytes, kind: type[AnyRow]) -> AnyRow:
    row = parse_row(path, number, line)
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        location = ".".join(str(step) for step in error.errors()[0]["loc"])
        message = error.errors()[0]["msg"]
        raise RunError(
            f"{path}: line {number}: not as shenhe writes it: {location}: {message}"
        ) from error
