"""The file of a promise: a threshold a mission, and what its verdicts are made by.

A promise says: of the groups that people would fail, at most the share `max_false_pass` passes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, ValidationError

from shenhe.errors import RunError
from shenhe.files import whole_file
from shenhe.row_types import Row, describe_invalid, known_log_odds
from shenhe.rows.row_formats import show_formats

Truth = Literal["labels", "decisions", "audit"]
"""What verdicts are compared with: labels of the photo tree, decisions of people in review on all
groups or a random sample, or on those that a blind audit drew."""


class Fingerprint(Row):
    """What makes the verdicts of a mission; verdicts that are made otherwise are not promised.

    Hashes are empty where rows do not know them. `stage_a` and `stage_b` hold the options of the
    engine and of the run, as the manifest has them.
    """

    checkpoint: str = ""
    prompt: str = ""
    votes: int = 1
    formats: str = "plain"
    evidence: str = ""
    stage_b: Mapping[str, JsonValue] = Field(default_factory=dict)
    stage_a_checkpoint: str = ""
    stage_a_prompt: str = ""
    stage_a: Mapping[str, JsonValue] = Field(default_factory=dict)


class MissionPromise(Row):
    """What is promised of one mission, and what that rests on.

    `threshold` is the lowest log-odds of a 通过 that stands; null where nothing can be promised,
    and then no 通过 stands. `failed` counts the groups that people failed, one a cluster, `slipped`
    those of them that pass. `left_to_people` is the share of all groups.
    """

    threshold: Annotated[float | None, BeforeValidator(known_log_odds)]
    failed: int
    slipped: int
    unreadable: int = 0
    left_to_people: float | None = None
    fingerprint: Fingerprint


class Promise(Row):
    """A promise: over samples of groups like these, it is broken in 1 - `confidence` at most."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    max_false_pass: float = Field(gt=0, lt=1)
    confidence: float = Field(gt=0, lt=1)
    candidates: int = Field(default=1, ge=1)
    truth: Truth = "labels"
    cluster: str = "photos"
    pooled: bool = False
    timestamp: str
    missions: Mapping[str, MissionPromise]

    @property
    def hash(self) -> str:
        """Name the promise in rows, 16 hex digits."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


def read_promise(path: Path) -> Promise:
    """Read a promise.

    Raises: RunError if the file cannot be read, or is no promise.
    """
    try:
        return Promise.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise RunError(f"{path}: is no promise: {describe_invalid(error)}") from error


def write_promise(path: Path, promise: Promise) -> None:
    """Write a promise, whole or not at all.

    Raises: RunError if the disk refuses it.
    """
    with whole_file(path) as partial:
        partial.write_text(promise.model_dump_json(by_alias=True, indent=2) + "\n", "utf-8")


def differences(promised: Fingerprint, actual: Fingerprint) -> list[str]:
    """Name what differs, one entry a field: `checkpoint: a1b2 here, c3d4 promised`."""
    lines = []
    for name in type(promised).model_fields:
        before, after = getattr(promised, name), getattr(actual, name)
        if isinstance(before, Mapping):
            lines += [
                f"{name}.{key}: {after.get(key)} here, {before.get(key)} promised"
                for key in sorted({*before, *after})
                if before.get(key) != after.get(key)
            ]
        elif name == "formats" and before != after:
            lines.append(f"{name}: {show_formats(after)} here, {show_formats(before)} promised")
        elif before != after:
            lines.append(f"{name}: {after or 'unknown'} here, {before or 'unknown'} promised")
    return lines
