"""From annotations to one export: refused if it exists, whole or not there at all."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from shenhe.errors import OptionError, RunError, spelled
from shenhe.exports import coco, label_studio, labelme, training, x_anylabeling, yolo_obb
from shenhe.exports.labels import Labels
from shenhe.values import Annotation

Writer = Callable[[Iterable[Annotation], Path, Labels, Counter[str]], None]
"""Writes annotations to a path, and counts there what the format cannot hold."""
FORMATS: dict[str, Writer] = {
    "coco": coco.write,
    "yolo-obb": yolo_obb.write,
    "labelme": labelme.write,
    "x-anylabeling": x_anylabeling.write,
    "label-studio": label_studio.write,
    "training": training.write,
}


def write_export(
    name: str,
    annotations: Iterable[Annotation],
    output: Path,
    labels: Labels,
    *,
    overwrite: bool = False,
) -> Counter[str]:
    """Write an export, and give what it cannot hold, counted.

    Raises: UsageError if the output exists; RunError if it cannot be written.
    """
    if output.exists() and not overwrite:
        raise OptionError("output", output, f"exists; use another, or {spelled('overwrite', True)}")
    fresh = output.with_name(output.name + ".new")
    losses: Counter[str] = Counter()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove(fresh)
        FORMATS[name](annotations, fresh, labels, losses)
        _remove(output)
        fresh.replace(output)
    except OSError as error:
        raise RunError(f"{output}: cannot be written: {error.strerror}") from error
    return losses


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
