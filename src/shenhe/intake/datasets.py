"""Datasets as `swift infer --val_dataset` takes them: files of rows, each row a conversation.

Rows have ids: their own `id`, or FOLDER/FILE:LINE. A line that is no row is told in its place.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, cast

import numpy as np
from pydantic import JsonValue

from shenhe.errors import FormatError, IntakeError
from shenhe.intake.dialogues import BAD_ROW, Dialogue, read_dialogue
from shenhe.json_keys import refuse_repeated_keys
from shenhe.locations import Location, absolute, locate, open_location

SUFFIXES: Final = (".jsonl", ".json", ".csv")
_SAMPLED: Final = re.compile(r"(.+)#([0-9]{1,12})")
Row = dict[str, JsonValue]


class BadRow(NamedTuple):
    """Why a line is no row."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A row in its place: `dataset` is the file as the user named it, `line` counts from 1."""

    id: str
    dataset: str
    line: int
    content: Dialogue | BadRow

    @property
    def location(self) -> Location:
        """The file of the row."""
        return locate(self.dataset)


class _File(NamedTuple):
    name: str
    location: Location
    limit: int | None

    @property
    def listed_as(self) -> str:
        """The name of the file with that of its folder, from wherever the user looks at it."""
        path = absolute(self.location)
        return f"{path.parent.name}/{path.name}"


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which rows: `count` of all, drawn by `seed`; `shuffle` draws the rows of `FILE#N` too.

    As in ms-swift, the same seed draws the same rows; `FILE#N` without `shuffle` are the first N.

        >>> Sampling(count=2).chosen(3)
        {0, 1}
    """

    count: int | None = None
    seed: int = 42
    shuffle: bool = False
    shuffle_all: bool = True

    def chosen(self, rows: int) -> set[int]:
        """Draw the rows out of so many; all of them where there are no more."""
        return _draw(np.random.RandomState(self.seed), rows, self.count, shuffle=self.shuffle_all)


class Dataset:
    """The rows of files, in their order, sampled on request.

    Example:
        for row in Dataset(["val.jsonl#500"]):
            print(row.id, row.content)

    """

    def __init__(
        self,
        sources: Sequence[str],
        sampling: Sampling | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        """Find the files; `columns` maps names of fields to those that are read.

        Raises: IntakeError that names the file and what to do.
        """
        self._files = [_find(source) for source in sources]
        self._columns = columns or {}
        self._chosen: list[set[int] | None] = [None] * len(self._files)
        self._choose(sampling or Sampling())

    def is_read_from(self, path: Path) -> bool:
        """Whether a path is a file of the dataset."""
        return any(
            isinstance(file.location, Path) and file.location.resolve() == path.resolve()
            for file in self._files
        )

    def __iter__(self) -> Iterator[DatasetRow]:
        taken: set[str] = set()
        for file, chosen in zip(self._files, self._chosen, strict=True):
            for number, (line, row) in enumerate(_rows(file.location)):
                if chosen is None or number in chosen:
                    yield self._read(file, line, row, taken)

    def _read(self, file: _File, line: int, row: Row | BadRow, taken: set[str]) -> DatasetRow:
        position = f"{file.listed_as}:{line}"
        content: Dialogue | BadRow
        if isinstance(row, BadRow):
            content, own_id = row, ""
        else:
            try:
                content = read_dialogue({self._columns.get(k, k): v for k, v in row.items()})
                own_id = content.own_id
            except FormatError as error:
                content, own_id = BadRow(error.code, str(error)), ""
        names = (name for name in (own_id, position) if name and name not in taken)
        name = next(names, f"{position} of {file.name}")
        taken.add(name)
        return DatasetRow(name, file.name, line, content)

    def _choose(self, sampling: Sampling) -> None:
        """Draw rows, where not all of them are asked for."""
        if sampling.count is None and all(file.limit is None for file in self._files):
            return
        random = np.random.RandomState(sampling.seed)
        kept: list[list[int]] = []
        for file in self._files:
            rows = sum(1 for _ in _rows(file.location))
            if file.limit is not None and file.limit > rows:
                raise IntakeError(f"{file.name}#{file.limit}: it has {rows} rows")
            kept.append(sorted(_draw(random, rows, file.limit, shuffle=sampling.shuffle)))
        drawn, start = sampling.chosen(sum(map(len, kept))), 0
        for number, rows_of_file in enumerate(kept):
            self._chosen[number] = {
                row for position, row in enumerate(rows_of_file, start) if position in drawn
            }
            start += len(rows_of_file)


def _draw(
    random: np.random.RandomState, rows: int, count: int | None, *, shuffle: bool
) -> set[int]:
    if count is None or count >= rows:
        return set(range(rows))
    drawn = random.permutation(rows)[:count] if shuffle else range(count)
    return {int(number) for number in drawn}


def _find(source: str) -> _File:
    """Find the file of a source: FILE, or FILE#N for N of its rows."""
    name, limit = source, None
    if not _is_file(source) and (match := _SAMPLED.fullmatch(source)):
        name, limit = match[1], int(match[2])
    location = locate(name)
    if isinstance(location, Path) and not location.is_file():
        problem = "is a folder: name its files" if location.is_dir() else "no such file"
        raise IntakeError(
            f"{name}: {problem}; datasets of a hub are not fetched here: give a .jsonl"
        )
    if location.suffix.casefold() not in SUFFIXES:
        raise IntakeError(f"{name}: rows are read from {', '.join(SUFFIXES)}")
    if limit == 0:
        raise IntakeError(f"{source}: 0 rows are none")
    return _File(name, location, limit)


def _is_file(name: str) -> bool:
    location = locate(name)
    return isinstance(location, Path) and location.is_file()


def _rows(location: Location) -> Iterator[tuple[int, Row | BadRow]]:
    """Yield rows with their lines, or in a JSON array their places, from 1.

    Raises: IntakeError if the file cannot be read.
    """
    suffix = location.suffix.casefold()
    try:
        with open_location(location) as file:
            if suffix == ".csv":
                yield from _csv_rows(file.read(), location)
            elif suffix == ".json" and file.read(256).lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"[":
                file.seek(0)
                yield from _array_rows(file.read(), location)
            else:
                file.seek(0)
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield number, _line_row(line)
    except OSError as error:
        raise IntakeError(f"{location}: cannot be read: {error.strerror}") from error


def _line_row(line: bytes) -> Row | BadRow:
    try:
        return _object(_read_json(line))
    except (ValueError, RecursionError) as error:
        return BadRow(BAD_ROW, f"is no JSON: {error}"[:200])


def _array_rows(content: bytes, location: Location) -> Iterator[tuple[int, Row | BadRow]]:
    try:
        rows = cast(list[object], _read_json(content))
    except (ValueError, RecursionError) as error:
        raise IntakeError(f"{location}: is no JSON: {error}") from error
    for number, row in enumerate(rows, 1):
        yield number, _object(row)


def _read_json(content: bytes) -> object:
    """Read JSON; a number that is none is null.

    Raises: ValueError, also for a key that stands twice; RecursionError.
    """
    text = content.decode("utf-8-sig")
    return json.loads(text, parse_constant=lambda _: None, object_pairs_hook=refuse_repeated_keys)


def _csv_rows(content: bytes, location: Location) -> Iterator[tuple[int, Row | BadRow]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        for row in reader:
            if None in cast(dict[object, object], row):
                yield reader.line_num, BadRow(BAD_ROW, "has more fields than the head")
            else:
                yield reader.line_num, {name: value for name, value in row.items() if value}
    except (csv.Error, UnicodeDecodeError) as error:
        raise IntakeError(f"{location}: is no CSV in UTF-8: {error}") from error


def _object(row: object) -> Row | BadRow:
    return row if isinstance(row, dict) else BadRow(BAD_ROW, "is no JSON object")
