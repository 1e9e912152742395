"""Counts of one run, and of the rows of an output."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from shenhe.messages import PhotoSize


@dataclass(frozen=True, slots=True)
class KeptCounts:
    """Numbers of groups in the output after a run."""

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
    """Files of the photo tree that belong to no group, by why."""
    damaged_inside: int = 0
    """Photos that were read though their decoder warned of damage."""
    repairs: Counter[str] = field(default_factory=Counter)
    """Repairs that captions needed, by kind."""
    done_anew: Counter[str] = field(default_factory=Counter)
    """Groups whose rows were dropped because their photos or label have changed, by why."""
    kept_as_is: Counter[str] = field(default_factory=Counter)
    """Groups whose rows were kept though they cannot be compared with their photos, by why."""
    faults: list[str] = field(default_factory=list)
    """Inputs that are missing or unreadable, and so were not looked at, one line each."""
    _began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def complete(self) -> bool:
        """Whether nothing failed, nothing is undecided, and no input was missing."""
        return not self.failed and not self.undecided and not self.faults

    def note_damage(self, sizes: Iterable[PhotoSize]) -> None:
        """Count the photos that are damaged inside."""
        self.damaged_inside += sum(bool(size.damaged_inside) for size in sizes)

    def kept(self) -> KeptCounts:
        """Sum up the groups of the output."""
        done = self.already + self.done
        return KeptCounts(done + self.failed, done, self.failed, self.undecided)
