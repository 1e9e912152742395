"""Writing one export: an existing one is refused, and a new one is whole or absent."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from shenhe.errors import RunError, UsageError
from shenhe.exports import coco, label_studio, labelme, training, x_anylabeling, yolo_obb
from shenhe.exports.labels import Labels
from shenhe.values import Annotation

Writer = Callable[[Iterable[Annotation], Path, Labels, Counter[str]], None]
"""Writes annotations to a path, and counts what the format cannot hold in the last argument."""
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
    """Write an export; return counts of what its format cannot hold, by a description.

    Raises: UsageError if the output exists; RunError if it cannot be written.

        losses = write_export("coco", annotations, Path("coco.json"), category)
    """
    if output.exists() and not overwrite:
        raise UsageError(f"--output {output}: exists; use another, or --overwrite")
    temporary = output.with_name(output.name + ".new")
    losses: Counter[str] = Counter()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        FORMATS[name](annotations, temporary, labels, losses)
        _remove(output)
        temporary.replace(output)
    except OSError as error:
        raise RunError(f"{output}: cannot be written: {error.strerror}") from error
    return losses


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
