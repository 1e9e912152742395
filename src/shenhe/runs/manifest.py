"""The manifest beside a rows file: what it was made with, how much, how fast."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shenhe.errors import OptionsChangedError, RunError
from shenhe.records import SCHEMA, utc_now
from shenhe.runs.outcome import RunCounts


class Manifest:
    """Knows the options an output was begun with; written whole, in one step."""

    def __init__(self, rows_path: Path, options: dict[str, Any]) -> None:
        """Describe an output by the options that decide its rows."""
        self.path = rows_path.with_suffix(".manifest.json")
        self.options = options
        self.started = utc_now()

    def check(self) -> None:
        """Compare with the options the output was begun with, if it was.

        Raises: OptionsChangedError that names every difference; RunError if it cannot be read.
        """
        if not self.path.exists():
            return
        try:
            before = json.loads(self.path.read_text(encoding="utf-8"))["options"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self.path}: cannot be read; use --restart to begin anew") from error
        differences = [
            f"{name} was {before.get(name)!r}, now {self.options.get(name)!r}"
            for name in sorted(before.keys() | self.options.keys())
            if before.get(name) != self.options.get(name)
        ]
        if differences:
            raise OptionsChangedError(
                f"{self.path.parent}: begun with other options: {'; '.join(differences)}."
                " Use the same ones, another --output-dir, or --restart"
            )

    def write(self, counts: RunCounts, state: str, total: int | None = None) -> None:
        """Write the manifest; `total` is what the output will hold when all is done.

        Raises: RunError if the disk refuses it.
        """
        seconds = max(counts.seconds, 1e-9)
        content = {
            "schema": SCHEMA,
            "state": state,
            "options": self.options,
            "total": total,
            "counts": asdict(counts.kept()),
            "passed_over": dict(counts.passed_over),
            "repairs": dict(counts.repairs),
            "damaged_inside": counts.damaged_inside,
            "this_session": {
                "host": platform.node(),
                "pid": os.getpid(),
                "started": self.started,
                "ended": utc_now(),
                "seconds": round(counts.seconds, 3),
                "items": counts.done + counts.failed,
                "photos": counts.photos,
                "new_tokens": counts.new_tokens,
                "photos_per_second": round(counts.photos / seconds, 3),
                "tokens_per_second": round(counts.new_tokens / seconds, 3),
            },
        }
        fresh = self.path.with_suffix(".new")
        try:
            with fresh.open("w", encoding="utf-8") as file:
                file.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written: {error.strerror}") from error
