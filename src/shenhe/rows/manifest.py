"""The manifest beside a rows file: its options, its counts, its speed."""

from __future__ import annotations

import json
import os
import platform
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic_core import from_json

from shenhe.errors import OptionsChangedError, RunError, spelled
from shenhe.files import put_in_place, write_error
from shenhe.row_types import SCHEMA, utc_now
from shenhe.rows.counts import KeptCounts, RunCounts
from shenhe.rows.fields import meta_of, object_of
from shenhe.rows.first_row import first_row
from shenhe.rows.ledger import BOM, Json
from shenhe.rows.row_formats import decisive_formats_of, show_formats

SUFFIX = ".manifest.json"
DECIDED_ANEW: Final = frozenset(
    ("pass_above", "fail_below", "evidence", "promise", "reused", "earlier")
)
"""Options by which finished verdicts can be decided anew, without a model."""
BUDGET, BUDGET_FROM = "pixel_budget", "pixel_budget_from"
"""The size of photos for a server, which decides rows, and where it comes from, which does not."""


@dataclass(frozen=True, slots=True)
class ManifestContent:
    """What a manifest holds; `options`, `counts` and `this_session` are known to be objects."""

    json: Json

    @property
    def options(self) -> Mapping[str, object]:
        """The options that decide the rows."""
        return object_of(self.json, "options")

    @property
    def rebuilt(self) -> bool:
        """Whether it was made of the rows, and so may lack options."""
        return bool(self.json.get("made_anew"))


class Manifest:
    """The manifest of an output under way; written whole, in one step.

    `session` is a random name of this run of the output: clocks may step. `of_engine` gives what
    an engine tells of this session. `guidance` are the written rules of the mission, of which the
    options hold no more than the hash of the prompt.
    """

    def __init__(self, rows_path: Path, options: Mapping[str, object], guidance: str = "") -> None:
        """Describe an output by the options that decide its rows."""
        self._guidance = guidance
        self._rows_path = rows_path
        self.path = manifest_file(rows_path)
        self.options = dict(options)
        self.session = secrets.token_hex(8)
        self._started = utc_now()
        self.of_engine: Callable[[], Mapping[str, object]] = dict

    def check(self) -> None:
        """Compare with the options that an earlier run of the output had, if there was one.

        Raises: OptionsChangedError that names every difference; RunError if it cannot be read.
        """
        changed = self.changed_options()
        if not changed:
            return
        ways_out = f"another {spelled('output_dir')}, or {spelled('restart', True)}"
        if DECIDED_ANEW.issuperset(changed):
            ways_out += "; `shenhe decide` decides these rows anew, without a model"
        raise OptionsChangedError(
            f"{self.path.parent}: begun with other options: {'; '.join(changed.values())}."
            f" Use the same ones, {ways_out}"
        )

    def changed_options(self) -> dict[str, str]:
        """Describe by its name each option that an earlier run of the output had otherwise.

        Without a manifest, or with a rebuilt one, the rows themselves say what they were made with.
        Raises: RunError if it cannot be read.
        """
        if self.path.exists():
            content = read_manifest(self.path)
            before, whole = content.options, not content.rebuilt
        else:
            before, whole = options_of_rows(self._rows_path), False
        names = before.keys() | self.options.keys() if whole else set(before)
        # Where it comes from changes nothing; earlier versions did not write it.
        names = names - {BUDGET_FROM} if BUDGET in before else names - {BUDGET, BUDGET_FROM}
        names |= {"formats"} if before else set()  # plain ones are not named
        changed = sorted(name for name in names if before.get(name) != self.options.get(name))
        return {
            name: f"{name} was {_show(name, before.get(name))},"
            f" now {_show(name, self.options.get(name))}"
            for name in changed
        }

    def write(self, counts: RunCounts, state: str, total: int | None = None) -> None:
        """Write the manifest; `total` is what the output will hold when all is done.

        Raises: RunError if the disk refuses it.
        """
        seconds = max(counts.seconds, 1e-9)
        content = {
            "schema": SCHEMA,
            "state": state,
            "options": self.options,
            **({"guidance": self._guidance} if self._guidance else {}),
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
                **self.of_engine(),
            },
        }
        _write(self.path, content)


def manifest_file(rows_path: Path) -> Path:
    """Name the manifest beside a rows file."""
    return rows_path.with_suffix(SUFFIX)


def guidance_of(rows_path: Path) -> str:
    """Give the written rules of a mission that an output was made with; empty for none.

    Raises: RunError for a manifest that cannot be read.
    """
    path = manifest_file(rows_path)
    guidance = read_manifest(path).json.get("guidance") if path.exists() else None
    return guidance if isinstance(guidance, str) else ""


def read_manifest(path: Path) -> ManifestContent:
    """Read a manifest.

    Raises: RunError that names the file and says what to do.
    """
    remedy = (
        f"`shenhe fsck {path.parent}` makes it anew of its rows, {spelled('restart', True)} sets"
        " all aside and begins anew"
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
    return ManifestContent(content)


def rebuild_manifest(rows_path: Path, counts: KeptCounts) -> None:
    """Write the manifest of rows that lost theirs; its options are those that the rows name.

    The next run must have these, and adds the others.
    Raises: RunError.
    """
    time = utc_now()
    session = {"id": "", "host": "", "pid": 0, "started": time, "ended": time, "seconds": 0.0}
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


def replace_options(path: Path, options: Mapping[str, object]) -> None:
    """Write other options into a manifest: further rows are made by these.

    Raises: RunError.
    """
    _write(path, {**read_manifest(path).json, "options": dict(options)})


def correct_counts(path: Path, counts: KeptCounts) -> None:
    """Write the counts of an output into its manifest, and leave everything else as it is.

    Raises: RunError.
    """
    _write(path, {**read_manifest(path).json, "counts": asdict(counts)})


def options_of_rows(rows_path: Path) -> Json:
    """Give the options that the first row names; none without rows.

    Raises: RunError if they cannot be read.
    """
    row = first_row(rows_path)
    if not row:
        return {}
    stage = "summarize" if "per_image" in row else "judge" if "status" in row else "caption"
    meta = meta_of(row)
    options: Json = {"stage": stage, "mission": row.get("mission")}
    options |= {name: meta.get(name) for name in ("prompt_hash", "checkpoint")}
    options = {name: value for name, value in options.items() if isinstance(value, str)}
    options |= decisive_formats_of(meta)
    if stage == "judge":
        # A row of an earlier version was not held to any: that is another option too.
        evidence, promise = object_of(meta, "evidence").get("rules"), meta.get("promise")
        options |= {"evidence": evidence, "promise": promise}
    return options


def _show(name: str, value: object) -> str:
    return show_formats(value) if name == "formats" else repr(value)


def _write(path: Path, content: Mapping[str, object]) -> None:
    temporary = path.with_suffix(".new")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        put_in_place(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
