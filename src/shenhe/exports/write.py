"""Writing one export: an existing one is refused, and a new one is whole or absent."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from shenhe.errors import OptionError, RunError, spelled
from shenhe.exports import (
    coco,
    label_studio,
    labelme,
    messages,
    training,
    x_anylabeling,
    yolo_obb,
)
from shenhe.exports.labels import Labels
from shenhe.exports.settings import NEW, Conversation, ExportSettings
from shenhe.locations import Location
from shenhe.values import Annotation

Writer = Callable[[Iterable[Annotation], Path, ExportSettings, Counter[str]], None]
"""Writes annotations to a path, and counts what the format cannot hold in the last argument."""
FORMATS: dict[str, Writer] = {
    "coco": coco.write,
    "yolo-obb": yolo_obb.write,
    "labelme": labelme.write,
    "x-anylabeling": x_anylabeling.write,
    "label-studio": label_studio.write,
    "training": training.write,
    "messages": messages.write,
}
OF_SEVERAL_ROWS: Final = frozenset({"training", "messages"})
"""Formats in which several rows may be about one photo."""

WITH_EXTRA: Final = "training"
"""The format that holds what another tool said of a photo."""


def write_export(
    name: str,
    annotations: Iterable[Annotation],
    output: Path,
    labels: Labels,
    *,
    overwrite: bool = False,
    copy_photos: bool = False,
    conversation: Conversation | None = None,
) -> Counter[str]:
    """Write an export; return counts of what its format cannot hold, by a description.

    Raises: UsageError if the output exists; RunError if it cannot be written.

        losses = write_export("coco", annotations, Path("coco.json"), category)
    """
    if output.exists() and not overwrite:
        raise OptionError("output", output, f"exists; use another, or {spelled('overwrite', True)}")
    temporary = output.with_name(output.name + NEW)
    losses: Counter[str] = Counter()
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        settings = ExportSettings(labels, copy_photos, conversation)
        once = annotations if name in OF_SEVERAL_ROWS else _of_each_photo(annotations, losses)
        if name != WITH_EXTRA:
            once = _without_extra(once, losses)
        FORMATS[name](once, temporary, settings, losses)
        _remove(output)
        temporary.replace(output)
    except OSError as error:
        raise RunError(f"{output}: cannot be written: {error.strerror}") from error
    return losses


def _of_each_photo(annotations: Iterable[Annotation], losses: Counter[str]) -> Iterator[Annotation]:
    """Yield the first annotation of each photo; others of it are counted where they differ."""
    hashes: dict[Location, int] = {}
    for annotation in annotations:
        content = hash((annotation.size_wh, annotation.objects))
        if annotation.image not in hashes:
            hashes[annotation.image] = content
            yield annotation
        elif hashes[annotation.image] != content:
            losses["rows about a photo that an earlier row is about: the first counts"] += 1


def _without_extra(annotations: Iterable[Annotation], losses: Counter[str]) -> Iterator[Annotation]:
    """Yield annotations, and count those with keys that the format has no place for."""
    for annotation in annotations:
        if annotation.extra:
            losses["rows with other keys: only training rows hold them"] += 1
        yield annotation


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
