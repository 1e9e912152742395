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

from shenhe.errors import RowError
from shenhe.rows.keys import in_one_spelling
from shenhe.rows.ledger import Json
from shenhe.rows.readers import KeyedRow, RowT
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
    """Finds the groups that have several rows, in eight bytes of memory a row.

    `hashes` are those of the keys of all rows; processes that share a file join theirs.
    """

    def __init__(self) -> None:
        self.hashes = array("q")

    def add(self, key: str) -> None:
        """Take note of a row."""
        self.hashes.append(hash(in_one_spelling(key)))

    def find(
        self,
        read_again: Callable[[], Iterable[KeyedRow[RowT] | RowError]],
        fingerprint: Callable[[Json], str] = hash_inputs,
    ) -> dict[str, DuplicateRows]:
        """Find them by their keys; only if hashes agree are the rows read again.

        `fingerprint` tells rows apart that contradict each other. A group under two spellings of
        its mission has two keys: both are found if its rows differ.
        """
        values, counts = np.unique(np.frombuffer(self.hashes, np.int64), return_counts=True)
        suspects = set(values[counts > 1].tolist())
        groups: dict[str, dict[str, list[DuplicateRow]]] = defaultdict(lambda: defaultdict(list))
        for row in read_again() if suspects else ():
            if isinstance(row, RowError):
                continue
            spelling = in_one_spelling(row.key)
            if hash(spelling) in suspects:
                duplicate = DuplicateRow(row.path.name, row.line, fingerprint(row.json))
                groups[spelling][row.key].append(duplicate)
        repeated: dict[str, DuplicateRows] = {}
        for by_key in groups.values():
            everything = tuple(chain.from_iterable(by_key.values()))
            for key, rows in by_key.items():
                duplicates = DuplicateRows(everything, len(rows))
                if len(rows) > 1 or duplicates.differ:
                    repeated[key] = duplicates
        return repeated
