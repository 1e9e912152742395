"""What ms-swift writes beside a checkpoint: the base it was trained on and the system prompt."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from shenhe.errors import CheckpointError

ARGS = "args.json"


@dataclass(frozen=True, slots=True)
class TrainerArgs:
    """What was trained; empty where it is not told."""

    path: Path
    model: str
    system: str


def read_trainer_args(folder: Path) -> TrainerArgs | None:
    """Read a checkpoint's args.json, or that of the run it lies in; None where there is none.

    Raises: CheckpointError if it is there and cannot be read.
    """
    if not folder.is_dir():
        return None
    run = [folder.parent / ARGS] if folder.name.startswith("checkpoint-") else []
    for path in (folder / ARGS, *run):
        if not path.is_file():
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            model, system = found.get("model"), found.get("system")
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
        return TrainerArgs(
            path,
            model if isinstance(model, str) else "",
            system.strip() if isinstance(system, str) else "",
        )
    return None
