"""Groups that have several rows in one file: counted once if the rows are equal."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import NamedTuple

import numpy as np

from shenhe.config.missions import normalize_name
from shenhe.errors import RowError
from shenhe.row_types import SummaryRow
from shenhe.rows.readers import KeyedRow
from shenhe.rows.verdict_inputs import hash_inputs

MAX_LINES_SHOWN = 5
"""Maximum number of lines of one group that a message names."""


class DuplicateRow(NamedTuple):
    """The file and line of a row, and the hash of what a verdict on it rests on."""

    file: str
    line: int
    inputs_hash: str


@dataclass(frozen=True, slots=True)
class DuplicateRows:
    """The rows of one group, of which `count` spell its mission in one way."""

    rows: tuple[DuplicateRow, ...]
    count: int = 1

    @property
    def differ(self) -> bool:
        """Whether they contradict each other, and nobody knows which is right."""
        return len({row.inputs_hash for row in self.rows}) > 1

    @property
    def inputs_hash(self) -> str:
        """Fingerprint of what a verdict on all of them rests on."""
        hashes = sorted({row.inputs_hash for row in self.rows})
        return hashes[0] if len(hashes) == 1 else sha256(" ".join(hashes).encode()).hexdigest()[:16]

    @property
    def description(self) -> str:
        """The lines, for the reason of an undecided verdict."""
        lines = ", ".join(f"{row.file}:{row.line}" for row in self.rows[:MAX_LINES_SHOWN])
        hidden = len(self.rows) - MAX_LINES_SHOWN
        text = f"同一组有 {len(self.rows)} 行, 内容不同: {lines}"
        return f"{text}, +{hidden}" if hidden > 0 else text


class DuplicateFinder:
    """Finds the groups that have several rows, in eight bytes of memory a row."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, key: str) -> None:
        """Take note of a row."""
        self._hashes.append(hash(_in_one_spelling(key)))

    def find(
        self, read_again: Callable[[], Iterable[KeyedRow[SummaryRow] | RowError]]
    ) -> dict[str, DuplicateRows]:
        """Find them by their keys; only if hashes agree are the rows read again.

        A group under two spellings of its mission has two keys: both are found if its rows differ.
        """
        hashes = np.frombuffer(self._hashes, dtype=np.int64)
        values, counts = np.unique(hashes, return_counts=True)
        suspects = set(values[counts > 1].tolist())
        if not suspects:
            return {}
        groups: dict[str, dict[str, list[DuplicateRow]]] = defaultdict(lambda: defaultdict(list))
        for row in read_again():
            if isinstance(row, RowError):
                continue
            spelling = _in_one_spelling(row.key)
            if hash(spelling) in suspects:
                duplicate = DuplicateRow(row.path.name, row.line, hash_inputs(row.json))
                groups[spelling][row.key].append(duplicate)
        repeated: dict[str, DuplicateRows] = {}
        for by_key in groups.values():
            everything = tuple(chain.from_iterable(by_key.values()))
            for key, rows in by_key.items():
                duplicates = DuplicateRows(everything, len(rows))
                if len(rows) > 1 or duplicates.differ:
                    repeated[key] = duplicates
        return repeated


def _in_one_spelling(key: str) -> str:
    """Write the mission of a key in one way: its brackets may be full-width or half-width."""
    mission, separator, group = key.partition("\x1f")
    return normalize_name(mission) + separator + group
