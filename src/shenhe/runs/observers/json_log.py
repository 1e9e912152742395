"""A log of a run, one JSON object a line: outputs that began and ended, requests that failed."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

from shenhe.errors import UsageError
from shenhe.printable import PrintableFormatter
from shenhe.runs.observers import RunInfo
from shenhe.runs.work import FinishedJob

log = logging.getLogger("shenhe.runs")


class JsonLog:
    """Writes this package's log records from INFO on to a file, beside those on the terminal."""

    def __init__(self, path: Path) -> None:
        """Append to a file.

        Raises: UsageError if it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handler = logging.FileHandler(path, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--log-file {path}: {error.strerror}") from error
        self._handler.setFormatter(_JsonLines())
        self._logger = logging.getLogger("shenhe")
        self._level = self._logger.level
        self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self._handler)
        # A logger with a handler no longer uses logging's last resort: warnings need one too.
        self._terminal = logging.StreamHandler()
        self._terminal.setLevel(logging.WARNING)
        self._terminal.setFormatter(PrintableFormatter())
        self._logger.addHandler(self._terminal)
        self._logger.propagate = False

    def began(self, info: RunInfo) -> None:
        """Log that an output was opened."""
        fields = {"output": info.title, "total": info.total, "already": info.counts.already}
        log.info("began", extra=fields)

    def finished(self, info: RunInfo, job: FinishedJob[object, object]) -> None:
        """Log the requests that failed."""
        for rejection in job.rejections:
            fields = {
                "output": info.title,
                "code": rejection.code,
                "attempts": rejection.attempts,
            }
            log.info("failed: %s", rejection.message, extra=fields)

    def ended(self, info: RunInfo) -> None:
        """Log the counts of an output."""
        counts = info.counts
        fields = {"output": info.title, "done": counts.done, "failed": counts.failed}
        fields |= {"undecided": counts.undecided, "seconds": round(counts.seconds, 3)}
        log.info("ended", extra=fields)

    def close(self) -> None:
        """Close the file."""
        for handler in (self._handler, self._terminal):
            self._logger.removeHandler(handler)
        self._handler.close()
        self._logger.setLevel(self._level)
        self._logger.propagate = True


_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {k: value for k, value in vars(record).items() if k not in _STANDARD_FIELDS}
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(fields | extra, ensure_ascii=False, default=str)
