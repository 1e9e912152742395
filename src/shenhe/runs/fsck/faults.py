"""Faults of a run's files, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a file; the fields are keys of `shenhe fsck --json`.

    `line` counts from 1, None for a fault of the whole file. `done` describes the repair, empty if
    there is none; `remedy` says what a person or another run has to do, empty if nothing is left.

    Example:
        for fault in check_run(Path("out"), load_missions()):
            print(fault.path, fault.line, fault.what, fault.done or fault.remedy)

    """

    path: Path
    line: int | None
    what: str
    done: str = ""
    remedy: str = ""

    @property
    def mendable(self) -> bool:
        """Whether the repair leaves nothing to do."""
        return not self.remedy
