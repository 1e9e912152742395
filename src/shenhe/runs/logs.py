"""A log of a run, one JSON object a line: what began, what failed and why, what ended."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shenhe.errors import OptionError
from shenhe.printable import PrintableFormatter
from shenhe.rows.counts import RunCounts
from shenhe.runs.jobs import FinishedJob, Rejection

log = logging.getLogger("shenhe.runs")


class JsonLog:
    """Writes what this package logs to a file, from INFO on, beside what goes to the terminal."""

    def __init__(self, path: Path) -> None:
        """Append to a file.

        Raises: UsageError if it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handler = logging.FileHandler(path, encoding="utf-8")
        except OSError as error:
            raise OptionError("log_file", path, str(error.strerror)) from error
        self._handler.setFormatter(_JsonLines())
        self._logger = logging.getLogger("shenhe")
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self._handler)
        # A logger with a handler of its own says no more by itself: warnings are for people too.
        self._terminal = logging.StreamHandler()
        self._terminal.setLevel(logging.WARNING)
        self._terminal.setFormatter(PrintableFormatter())
        self._logger.addHandler(self._terminal)
        self._logger.propagate = False
        self._counts: dict[str, RunCounts] = {}

    def began(self, title: str, counts: RunCounts, total: int) -> None:
        """Log that an output was opened."""
        self._counts[title] = counts
        log.info("began", extra={"output": title, "total": total, "already": counts.already})

    def finished(self, title: str, finished: FinishedJob[Any, Any]) -> None:
        """Log what failed, and what was asked again."""
        for outcome in finished.outcomes:
            if isinstance(outcome, Rejection):
                facts = {"output": title, "code": outcome.code, "attempts": outcome.attempts}
                log.info("failed: %s", outcome.message, extra=facts)

    def ended(self, title: str) -> None:
        """Log what an output holds."""
        counts = self._counts.pop(title)
        facts = {"output": title, "done": counts.done, "failed": counts.failed}
        facts |= {"undecided": counts.undecided, "seconds": round(counts.seconds, 3)}
        log.info("ended", extra=facts)

    def close(self) -> None:
        """Close the file."""
        for handler in (self._handler, self._terminal):
            self._logger.removeHandler(handler)
        self._handler.close()
        self._logger.setLevel(self._level)
        self._logger.propagate = True


_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in vars(record).items() if name not in _PLAIN}
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(told | facts, ensure_ascii=False, default=str)
