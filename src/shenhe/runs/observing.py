"""Tells who looks on of a run: Prometheus, OpenTelemetry, a log. None of them changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from shenhe.rows.counts import RunCounts
from shenhe.runs.jobs import FinishedJob, Rejection
from shenhe.runs.options import Observer


class Observed:
    """One output, and all who look on."""

    def __init__(
        self, observers: Sequence[Observer], title: str, counts: RunCounts, total: int
    ) -> None:
        self._observers, self._title = observers, title
        self._counts, self._total = counts, total
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        for observer in self._observers:
            observer.began(self._title, self._counts, self._total)
            self._ending.callback(observer.ended, self._title)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.close()

    def finished(self, finished: FinishedJob[Any, Any]) -> None:
        """Tell all of an item."""
        for observer in self._observers:
            observer.finished(self._title, finished)


def problems(finished: FinishedJob[Any, Any]) -> list[str]:
    """Give the codes of what failed of an item."""
    return [outcome.code for outcome in finished.outcomes if isinstance(outcome, Rejection)]
