"""How far outputs are, read from their manifests while they are written or long after."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from shenhe.errors import RunError
from shenhe.rows.ledger import Json
from shenhe.rows.manifest import SUFFIX, read_manifest


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
    """What was not where it is looked for, and so was not looked at."""

    @property
    def complete(self) -> bool:
        """Whether all is done, nothing failed or is undecided, and all was where it belongs."""
        return self.state == "ended" and not (self.failed or self.undecided or self.faults)


def read_status(folder: Path) -> list[OutputStatus]:
    """Read every output in a folder and below it, Stage-A before Stage-B.

    Raises: RunError if there is none, or a manifest that cannot be read.
    """
    paths = sorted(path for path in folder.rglob(f"*{SUFFIX}") if path.is_file())
    if not paths:
        raise RunError(f"{folder}: no manifest there: nothing of shenhe's was written to it")
    return [status_of(path, str(path.relative_to(folder)).removesuffix(SUFFIX)) for path in paths]


def status_of(path: Path, name: str = "") -> OutputStatus:
    """Read how far an output is from its manifest.

    Raises: RunError if it cannot be read.
    """
    content = read_manifest(path)
    try:
        return _told_by(content, name)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise RunError(
            f"{path}: no manifest of shenhe's: {error!r}; `shenhe fsck {path.parent}` makes it anew"
        ) from error


def _told_by(content: Json, name: str) -> OutputStatus:
    counts, session = content["counts"], content["this_session"]
    total = None if content.get("total") is None else int(content["total"])
    seconds, items = float(session["seconds"]), int(session.get("items", 0))
    done, failed, undecided = (int(counts[one]) for one in ("done", "failed", "undecided"))
    state = _state(str(content["state"]), session)
    pace = items / seconds if seconds else 0.0
    left = None
    if state == "running" and total is not None and pace:
        left = max(0, total - done - failed) / pace
    silent = datetime.now(UTC) - datetime.fromisoformat(session["ended"])
    return OutputStatus(
        name=name,
        stage=str(content["options"]["stage"]),
        state=state,
        total=total,
        done=done,
        failed=failed,
        undecided=undecided,
        per_second=pace,
        left_seconds=left,
        # A clock that was set back makes nothing younger than new.
        silent_seconds=max(0.0, silent.total_seconds()),
        faults=tuple(map(str, content.get("faults") or ())),
    )


def _state(state: str, session: dict[str, Any]) -> str:
    """Tell an output that is written from one whose process is no more, where that was here."""
    here = session.get("host") == platform.node()
    if state == "running" and here and not _alive(int(session["pid"])):
        return "killed"
    return state


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return True
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
