"""What a run is asked to do, and what it has done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from shenhe.records import PhotoSize
from shenhe.runs.drive import Finished


class Observer(Protocol):
    """Is told of each output, which it tells apart by the title, and of each item of it."""

    def began(self, title: str, counts: RunCounts, total: int) -> None:
        """Take note of an output; its counts go on being counted."""

    def finished(self, title: str, finished: Finished[Any, Any]) -> None:
        """Take note of an item that has all its outcomes."""

    def ended(self, title: str) -> None:
        """Take note that an output was closed, however that came."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How much to do, of which quality, and who looks on; only `max_attempts` decides a row.

    `ordered` rows stand in the order of the groups, whichever was answered first.

    Past `shard_bytes` a rows file goes on in another; `parquet` is given each that has ended.
    """

    limit: int | None = None
    restart: bool = False
    max_attempts: int = 3
    ordered: bool = False
    observers: tuple[Observer, ...] = ()
    shard_bytes: int | None = None
    parquet: Callable[[Path], object] | None = None

    def up_to(self, groups: int, counts: RunCounts) -> int:
        """How many groups an output of `groups` will hold when this run ends."""
        return groups if self.limit is None else min(groups, counts.already + self.limit)


@dataclass(frozen=True, slots=True)
class KeptCounts:
    """What the output holds after a run."""

    groups: int
    done: int
    failed: int
    undecided: int


@dataclass(slots=True)
class RunCounts:
    """Counts of one run; `already` were done before it began."""

    already: int = 0
    done: int = 0
    failed: int = 0
    undecided: int = 0
    photos: int = 0
    new_tokens: int = 0
    passed_over: Counter[str] = field(default_factory=Counter)
    damaged_inside: int = 0
    """Photos that were read though their decoder warned of damage."""
    repairs: Counter[str] = field(default_factory=Counter)
    """How often each kind of repair was needed to read a caption."""
    done_anew: Counter[str] = field(default_factory=Counter)
    """Groups whose rows were dropped because their photos or label have changed, by why."""
    kept_as_is: Counter[str] = field(default_factory=Counter)
    """Groups whose rows were kept though they cannot be compared with their photos, by why."""
    faults: list[str] = field(default_factory=list)
    """What is not where it is looked for, and so was not looked at, one line each."""
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def complete(self) -> bool:
        """Whether nothing failed, nothing is undecided, and all was where it is looked for."""
        return not self.failed and not self.undecided and not self.faults

    def note_damage(self, sizes: Iterable[PhotoSize]) -> None:
        """Count the photos that are damaged inside."""
        self.damaged_inside += sum(bool(size.damaged_inside) for size in sizes)

    def kept(self) -> KeptCounts:
        """Sum up what the output holds."""
        done = self.already + self.done
        return KeptCounts(done + self.failed, done, self.failed, self.undecided)
