"""The arguments that ms-swift writes beside a checkpoint: base and system prompt of training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from shenhe.errors import CheckpointError

ARGS = "args.json"


@dataclass(frozen=True, slots=True)
class TrainerArgs:
    """Base, system prompt and validation files of training; empty if not recorded.

    `max_pixels` is the largest photo that it saw, in pixels; None if not recorded.
    """

    path: Path
    model: str
    system: str
    val_dataset: tuple[str, ...] = ()
    max_pixels: int | None = None


def read_trainer_args(folder: Path) -> TrainerArgs | None:
    """Read the args.json of a checkpoint or of the run that contains it; None without one.

    Raises: CheckpointError if it is there and cannot be read.
    """
    if not folder.is_dir():
        return None
    run = [folder.parent / ARGS] if folder.name.startswith("checkpoint-") else []
    for path in (folder / ARGS, *run):
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            model, system = content.get("model"), content.get("system")
            model = model or content.get("model_id_or_path")
            listed = content.get("val_dataset")
            listed = listed if isinstance(listed, list) else [listed]
            pixels = content.get("max_pixels")
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path}: cannot be read: {error}") from error
        return TrainerArgs(
            path,
            model if isinstance(model, str) else "",
            system.strip() if isinstance(system, str) else "",
            tuple(filter(lambda name: isinstance(name, str), listed or ())),
            pixels if isinstance(pixels, int) and pixels > 0 else None,
        )
    return None
