"""Counts of one run, and of the rows of an output."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
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
    """Counts of one run; `already` were done before it began.

    `begin`, `resume`, `note_stale`, `add_item` and `add_groups` alone write them, but for
    `passed_over` and `faults`, which the input of the run fills while it is listed.

        >>> counts = RunCounts()
        >>> counts.resume(done=5, undecided=1)
        >>> counts.kept()
        KeptCounts(groups=5, done=5, failed=0, undecided=1)
    """

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
    hints: list[str] = field(default_factory=list)
    """What the answers suggest to do, one line each."""
    _began: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """Count the seconds from now on."""
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    @property
    def complete(self) -> bool:
        """Whether nothing failed, nothing is undecided, and no input was missing."""
        return not self.failed and not self.undecided and not self.faults

    def resume(self, *, done: int, undecided: int) -> None:
        """Set the counts of the rows that earlier runs left."""
        self.already, self.undecided = done, undecided

    def note_stale(self, *, redone: Counter[str], kept: Counter[str]) -> None:
        """Count the rows that are redone or kept, by reason."""
        self.done_anew.update(redone)
        self.kept_as_is.update(kept)

    def add_item(
        self,
        *,
        has_row: bool,
        settled: bool,
        photos: int,
        new_tokens: int,
        sizes: Sequence[PhotoSize],
        repairs: Sequence[str],
    ) -> None:
        """Count a finished item: with a row it is done, without one it failed.

        `sizes` are those of the photos that were read, `repairs` the kinds of repairs of a caption.
        """
        self.done += has_row
        self.failed += not has_row
        self.undecided += has_row and not settled
        self.photos += photos
        self.new_tokens += new_tokens
        self.damaged_inside += sum(bool(size.facts.damaged_inside) for size in sizes)
        self.repairs.update(repairs)

    def add_groups(self, *, done: int, failed: int, undecided: int) -> None:
        """Count finished groups of which nothing else is counted; undecided ones are done too."""
        self.done += done
        self.failed += failed
        self.undecided += undecided

    def kept(self) -> KeptCounts:
        """Sum up the groups of the output."""
        done = self.already + self.done
        return KeptCounts(done + self.failed, done, self.failed, self.undecided)
