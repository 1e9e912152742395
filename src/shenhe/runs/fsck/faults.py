"""What is wrong with a file of a run, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. `line` counts from 1, where it is about one line.

    `done` says how it was mended, or would be; nothing where that takes somebody, or another run,
    who are told by `remedy`.
    """

    path: Path
    line: int | None
    what: str
    done: str = ""
    remedy: str = ""

    @property
    def mendable(self) -> bool:
        """Whether all of it can be made anew here."""
        return not self.remedy
