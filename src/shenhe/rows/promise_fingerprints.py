"""What makes the verdicts of a run, in the form that promises bind themselves to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import JsonValue, TypeAdapter

from shenhe.config.missions import normalize_name
from shenhe.errors import UsageError, spelled
from shenhe.rows.first_row import first_row
from shenhe.rows.keys import mission_of_file, rows_file
from shenhe.rows.manifest import BUDGET_FROM, manifest_file, options_of_rows, read_manifest
from shenhe.rows.promises import Fingerprint, Promise, differences
from shenhe.shards import list_rows_files

Options = Mapping[str, object]
"""The options that decide the rows of an output, as its manifest holds them."""
FIELDS: Final = frozenset(("checkpoint", "prompt_hash", "votes", "formats", "evidence"))
"""Options that a fingerprint holds by themselves."""
PASSED_OVER: Final = frozenset(
    (
        *("stage", "mission", "model", "adapters", "data_root", "stage_a", "rows", "max_attempts"),
        *("label_folders", "group_pattern", "sample", "sample_failed", "exclude", "earlier"),
        BUDGET_FROM,
    )
)
"""Options that say where things lie, which groups are looked at, or how patiently they are asked
for: no verdict changes."""
THRESHOLDS: Final = frozenset(("pass_above", "fail_below", "promise"))
"""Options that a promise replaces."""
_JSON: Final = TypeAdapter(dict[str, JsonValue])


def fingerprint_of_options(stage_b: Options, stage_a: Options) -> Fingerprint:
    """Make the fingerprint of verdicts from the options of both stages.

    >>> fingerprint_of_options({"checkpoint": "a1b2", "seed": 0}, {}).stage_b
    {'seed': 0}
    """
    votes = stage_b.get("votes")
    return Fingerprint(
        checkpoint=_text(stage_b, "checkpoint"),
        prompt=_text(stage_b, "prompt_hash"),
        votes=votes if isinstance(votes, int) else 1,
        formats=_text(stage_b, "formats") or "plain",
        evidence=_text(stage_b, "evidence"),
        stage_b=_other_options(stage_b, FIELDS),
        stage_a_checkpoint=_text(stage_a, "checkpoint"),
        stage_a_prompt=_text(stage_a, "prompt_hash"),
        stage_a=_other_options(stage_a, FIELDS - {"formats"}),
    )


def fingerprint_of_run(run_dir: Path, mission: str) -> Fingerprint:
    """Make the fingerprint of the verdicts of a mission that a run, or another tool, has written.

    Raises: RunError for a manifest or a row that cannot be read.

        promised = MissionPromise(threshold=2.5, fingerprint=fingerprint_of_run(out, mission), ...)
    """
    folder = run_dir / "stage_b"
    stage_b = options_of_output(find_rows(folder if folder.is_dir() else run_dir, mission))
    return fingerprint_of_options(stage_b, options_of_stage_a(run_dir, mission, stage_b))


def options_of_stage_a(run_dir: Path, mission: str, stage_b: Options) -> Options:
    """Give the options of the Stage-A rows that verdicts rest on, in the run's folder or outside.

    Raises: RunError.
    """
    folder = run_dir / "stage_a"
    if folder.is_dir():
        return options_of_output(find_rows(folder, mission))
    named = Path(_text(stage_b, "stage_a"))
    return options_of_output(named if named.is_file() else None)


def options_of_output(rows_path: Path | None) -> Options:
    """Give the options that rows were made with, by their manifest, or else as the rows tell.

    Raises: RunError.
    """
    if rows_path is None:
        return {}
    path = manifest_file(rows_path)
    options = read_manifest(path).options if path.exists() else {}
    return {**options_of_rows(rows_path), **options}


def find_rows(folder: Path, mission: str) -> Path | None:
    """Find the rows file of a mission, by its name or else by its first row."""
    path, name = rows_file(folder, mission), normalize_name(mission)
    if path.is_file():
        return path
    for path in list_rows_files(folder):
        if name in map(
            normalize_name, (mission_of_file(path), str(first_row(path).get("mission")))
        ):
            return path
    return None


def refuse_others(promise: Promise, path: Path, actual: Mapping[str, Fingerprint]) -> None:
    """Refuse a promise, read from a path, that binds a mission to another fingerprint than its.

    Raises: UsageError that names every difference of the first such mission.
    """
    refused = {}
    for mission, promised in promise.missions.items():
        for name, fingerprint in actual.items():
            if normalize_name(name) == normalize_name(mission) and (
                lines := differences(promised.fingerprint, fingerprint)
            ):
                refused[name] = lines
    if not refused:
        return
    name, lines = next(iter(refused.items()))
    missions = f"{name} and {len(refused) - 1} more" if len(refused) > 1 else name
    raise UsageError(
        f"{spelled('promise', path)} was made for another {'; '.join(lines)} ({missions}); make one"
        f" for this by `shenhe promise`, or leave {spelled('promise')} out"
    )


def _other_options(options: Options, fields: frozenset[str]) -> dict[str, JsonValue]:
    names = options.keys() - fields - PASSED_OVER - THRESHOLDS
    return _JSON.validate_python({name: options[name] for name in sorted(names)})


def _text(options: Options, name: str) -> str:
    value = options.get(name)
    return value if isinstance(value, str) else ""
