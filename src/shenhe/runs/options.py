"""What a run is asked to do, and what it has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shenhe.rows.counts import RunCounts
from shenhe.runs.jobs import FinishedJob


class Observer(Protocol):
    """Is told of each output, which it tells apart by the title, and of each item of it."""

    def began(self, title: str, counts: RunCounts, total: int) -> None:
        """Take note of an output; its counts go on being counted."""

    def finished(self, title: str, finished: FinishedJob[Any, Any]) -> None:
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
