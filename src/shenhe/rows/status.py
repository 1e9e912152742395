"""Progress of outputs, read from their manifests while they are written or long after."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from shenhe.errors import RunError
from shenhe.rows.fields import object_of
from shenhe.rows.manifest import SUFFIX, ManifestContent, read_manifest


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """One output. `state` is running, ended, interrupted, or killed; `left_seconds` is an estimate.

    Units: seconds since the manifest was written last in `silent_seconds`, items in all counts.
    """

    name: str
    stage: str
    state: str
    total: int | None
    done: int
    failed: int
    undecided: int
    per_second: float
    left_seconds: float | None
    silent_seconds: float
    faults: tuple[str, ...] = ()
    """Inputs that are missing or unreadable, and so were not looked at."""

    @property
    def complete(self) -> bool:
        """Whether all is done, nothing failed or is undecided, and no input was missing."""
        return self.state == "ended" and not (self.failed or self.undecided or self.faults)


def read_status(folder: Path) -> list[OutputStatus]:
    """Read every output in a folder and below it, Stage-A before Stage-B.

    Raises: RunError if there is none, or a manifest cannot be read.
    """
    paths = sorted(path for path in folder.rglob(f"*{SUFFIX}") if path.is_file())
    if not paths:
        raise RunError(f"{folder}: no manifest there: nothing of shenhe's was written to it")
    return [status_of(path, str(path.relative_to(folder)).removesuffix(SUFFIX)) for path in paths]


def status_of(path: Path, name: str = "") -> OutputStatus:
    """Read the progress of an output from its manifest.

    Raises: RunError if it cannot be read.
    """
    content = read_manifest(path)
    try:
        return _status(content, name)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise RunError(
            f"{path}: no manifest of shenhe's: {error!r}; `shenhe fsck {path.parent}` makes it anew"
        ) from error


def _status(content: ManifestContent, name: str) -> OutputStatus:
    counts, session = object_of(content.json, "counts"), object_of(content.json, "this_session")
    total = content.json.get("total")
    total = None if total is None else _integer(total)
    seconds, items = _number(session["seconds"]), _integer(session.get("items", 0))
    done, failed, undecided = (_integer(counts[key]) for key in ("done", "failed", "undecided"))
    state = _state(str(content.json["state"]), session)
    pace = items / seconds if seconds else 0.0
    left_seconds = None
    if state == "running" and total is not None and pace:
        left_seconds = max(0, total - done - failed) / pace
    silent = datetime.now(UTC) - datetime.fromisoformat(_text(session["ended"]))
    faults = content.json.get("faults") or []
    if not isinstance(faults, list):  # of another program; the counts beside it stand
        faults = [faults]
    return OutputStatus(
        name=name,
        stage=str(content.options["stage"]),
        state=state,
        total=total,
        done=done,
        failed=failed,
        undecided=undecided,
        per_second=pace,
        left_seconds=left_seconds,
        # A clock that was set back makes nothing younger than new.
        silent_seconds=max(0.0, silent.total_seconds()),
        faults=tuple(map(str, faults)),
    )


def _state(state: str, session: Mapping[str, object]) -> str:
    """Tell a running output from one whose process is gone, if that ran on this machine."""
    is_local = session.get("host") == platform.node()
    if state == "running" and is_local and not _is_alive(_integer(session["pid"])):
        return "killed"
    return state


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _integer(value: object) -> int:
    return int(_number_or_text(value))


def _number(value: object) -> float:
    return float(_number_or_text(value))


def _number_or_text(value: object) -> float | str:
    if not isinstance(value, int | float | str):
        raise TypeError(f"no number but {type(value).__name__}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"no text but {type(value).__name__}")
    return value
