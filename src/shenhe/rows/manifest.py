"""The manifest beside a rows file: what it was made with, how much, how fast."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from shenhe.errors import OptionsChangedError, RunError
from shenhe.files import put_in_place, write_error
from shenhe.row_types import SCHEMA, utc_now
from shenhe.rows.counts import KeptCounts, RunCounts
from shenhe.rows.ledger import BOM, Json, read_rows

SUFFIX = ".manifest.json"


class Manifest:
    """Knows the options an output was begun with; written whole, in one step.

    `session` tells this run of the output from every other, whatever the clock says.
    """

    def __init__(self, rows_path: Path, options: dict[str, Any]) -> None:
        """Describe an output by the options that decide its rows."""
        self._rows_path = rows_path
        self.path = manifest_file(rows_path)
        self.options = options
        self.session = secrets.token_hex(8)
        self._started = utc_now()

    def check(self) -> None:
        """Compare with the options the output was begun with, if it was.

        Without a manifest, or with one that was made anew, by what the rows tell of themselves.
        Raises: OptionsChangedError that names every difference; RunError if it cannot be read.
        """
        if self.path.exists():
            content = read_manifest(self.path)
            before, whole = content["options"], not content.get("made_anew")
        else:
            before, whole = options_of_rows(self._rows_path), False
        names = before.keys() | self.options.keys() if whole else before.keys()
        differences = [
            f"{name} was {before.get(name)!r}, now {self.options.get(name)!r}"
            for name in sorted(names)
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
            "done_anew": dict(counts.done_anew),
            "kept_as_is": dict(counts.kept_as_is),
            "faults": counts.faults,
            "damaged_inside": counts.damaged_inside,
            "this_session": {
                "id": self.session,
                "host": platform.node(),
                "pid": os.getpid(),
                "started": self._started,
                "ended": utc_now(),
                "seconds": round(counts.seconds, 3),
                "items": counts.done + counts.failed,
                "photos": counts.photos,
                "new_tokens": counts.new_tokens,
                "photos_per_second": round(counts.photos / seconds, 3),
                "tokens_per_second": round(counts.new_tokens / seconds, 3),
            },
        }
        _write(self.path, content)


def manifest_file(rows_path: Path) -> Path:
    """Name the manifest beside a rows file."""
    return rows_path.with_suffix(SUFFIX)


def read_manifest(path: Path) -> Json:
    """Read a manifest: `options`, `counts` and `this_session` are objects.

    Raises: RunError that names the file and says what to do.
    """
    remedy = (
        f"`shenhe fsck {path.parent}` makes it anew of its rows, --restart sets all aside and"
        " begins anew"
    )
    try:
        content = from_json(path.read_bytes().removeprefix(BOM))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise RunError(f"{path}: cannot be read: {why}; {remedy}") from error
    for name in ("options", "counts", "this_session"):
        if not isinstance(content, dict) or not isinstance(content.get(name), dict):
            raise RunError(
                f"{path}: no manifest of shenhe's, it cannot be read: no object {name!r}; {remedy}"
            )
    result: Json = content
    return result


def make_anew(rows_path: Path, counts: KeptCounts) -> None:
    """Write the manifest of rows whose own is lost: of the options, what the rows tell.

    The next run is held to those, and writes down the others.
    Raises: RunError.
    """
    now = utc_now()
    session = {"id": "", "host": "", "pid": 0, "started": now, "ended": now, "seconds": 0.0}
    content = {
        "schema": SCHEMA,
        "state": "interrupted",
        "options": options_of_rows(rows_path),
        "made_anew": True,
        "total": None,
        "counts": asdict(counts),
        "this_session": session | {"items": 0},
    }
    _write(manifest_file(rows_path), content)


def correct(path: Path, counts: KeptCounts) -> None:
    """Write what an output holds into its manifest, and leave the rest of it as it is.

    Raises: RunError.
    """
    _write(path, read_manifest(path) | {"counts": asdict(counts)})


def options_of_rows(rows_path: Path) -> Json:
    """Give the options that rows tell of themselves; none where there are no rows.

    Raises: RunError for a row that is none.
    """
    row = next(read_rows(rows_path), None)
    if row is None:
        return {}
    stage = "summarize" if "per_image" in row else "judge" if "status" in row else "caption"
    meta = row.get("meta")
    made_with = meta if isinstance(meta, dict) else {}
    told = {"stage": stage, "mission": row.get("mission")}
    told |= {name: made_with.get(name) for name in ("prompt_hash", "checkpoint")}
    return {name: value for name, value in told.items() if isinstance(value, str)}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        put_in_place(fresh, path)
    except OSError as error:
        raise write_error(path, error) from error
