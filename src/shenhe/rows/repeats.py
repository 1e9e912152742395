"""Groups that stand several times in one rows file: counted once where they are equal."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shenhe.rows.ledger import Json, read_shard
from shenhe.shards import list_shards

NAMED = 5
"""So many lines of one group are named."""


class Place(NamedTuple):
    """Where a row stands, and what a verdict on it rests on."""

    file: str
    line: int
    rests_on: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """The rows of one group."""

    places: tuple[Place, ...]

    @property
    def differ(self) -> bool:
        """Whether they say other things, and nobody knows which is right."""
        return len({place.rests_on for place in self.places}) > 1

    @property
    def rests_on(self) -> str:
        """Fingerprint what a verdict on all of them rests on."""
        said = sorted({place.rests_on for place in self.places})
        return said[0] if len(said) == 1 else sha256(" ".join(said).encode()).hexdigest()[:16]

    @property
    def told(self) -> str:
        """Name the lines."""
        named = ", ".join(f"{place.file}:{place.line}" for place in self.places[:NAMED])
        more = len(self.places) - NAMED
        return f"同一组有 {len(self.places)} 行, 内容不同: {named}" + (
            f", +{more}" if more > 0 else ""
        )


class Repeats:
    """Finds the groups that have more than one row, in eight bytes a row."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def note(self, key: str) -> None:
        """Take note of a row."""
        self._hashes.append(hash(key))

    def find(
        self, rows_path: Path, key_of: Callable[[Json], str], rests_on: Callable[[Json], str]
    ) -> dict[str, Repeated]:
        """Find them by their keys; only where hashes agree are the rows read again."""
        hashes = np.frombuffer(self._hashes, dtype=np.int64)
        values, counts = np.unique(hashes, return_counts=True)
        suspects = set(values[counts > 1].tolist())
        if not suspects:
            return {}
        found: dict[str, list[Place]] = defaultdict(list)
        for path, number, row in _rows(rows_path):
            key = key_of(row)
            if hash(key) in suspects:
                found[key].append(Place(path.name, number, rests_on(row)))
        return {key: Repeated(tuple(places)) for key, places in found.items() if len(places) > 1}


def _rows(rows_path: Path) -> Iterator[tuple[Path, int, Json]]:
    for path in list_shards(rows_path):
        for number, row in enumerate(read_shard(path), 1):
            yield path, number, row
