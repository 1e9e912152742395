"""From a file or folder of a labelling tool to annotations; the tool is known by the content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from shenhe.errors import (
    FormatError,
    IntakeError,
    ItemError,
    OptionError,
    ShenheError,
    item_wall,
)
from shenhe.imports import coco, cvat, label_studio, labelme
from shenhe.imports.fields import read_json
from shenhe.imports.labelled import Entries, place
from shenhe.imports.photo_files import PhotoFinder
from shenhe.imports.reading import Reading
from shenhe.values import Annotation

MAX_LOOKED_AT: Final = 100
"""Files of a folder that are looked at to recognise its tool."""
Reader = Callable[[Path, Counter[str]], Entries]
TOOLS: Final[dict[str, Reader]] = {
    "label-studio": label_studio.entries,
    "x-anylabeling": labelme.entries,
    "labelme": labelme.entries,
    "coco": coco.entries,
    "cvat": cvat.entries,
}


def recognise(source: Path) -> str | None:
    """Name the tool that a file or folder is of, a key of TOOLS; None for JSONL.

    Raises: IntakeError if it is of none.

    Example:
        tool = recognise(Path("out/labelme"))

    """
    if source.is_dir():
        tool = _of_folder(source)
    elif source.suffix.lower() == ".xml":
        tool = "cvat"
    elif source.suffix.lower() == ".json" and source.exists():
        tool = _of_content(read_json(source))
    elif source.suffix.lower() == ".zip":
        raise IntakeError(f"{source}: unpack it first")
    else:
        return None
    if not tool and (rows := sorted(source.glob("*.jsonl"))):
        raise IntakeError(f"{source}: rows are read from their file: name {rows[0]}")
    if not tool:
        names = ", ".join(TOOLS)
        raise IntakeError(f"{source}: labels of no tool that is read ({names})")
    return tool


def read_labels(
    source: Path, tool: str, reading: Reading, photos: Path | None = None
) -> Iterator[Annotation]:
    """Yield the annotation of each photo that people labelled in a tool.

    Photos are looked for below `photos`, if it is given, and in the folder of the file. A photo
    that cannot be read is noted in `reading`, and the others go on.
    Raises: IntakeError for a source that cannot be read; OptionError for a folder of photos that is
    none.

        reading = Reading()
        truth = list(read_labels(Path("out/labelme"), "labelme", reading))
    """
    if photos is not None and not photos.is_dir():
        raise OptionError("photos", photos, "no such folder")
    finder = PhotoFinder(_folder(source), photos)
    for where, read in TOOLS[tool](source, reading.lost):
        try:
            with item_wall("labels", where, ItemError):
                before = _count_left_out(reading.lost)
                labelled = read()
                if labelled and not labelled.objects and _count_left_out(reading.lost) > before:
                    problem = "none of its shapes can be held: it would be a photo with nothing"
                    raise FormatError("geometry", problem)
                annotation = place(labelled, finder, reading.lost) if labelled else None
        except ShenheError as error:
            reading.note(where, error)
        else:
            if annotation is not None:
                yield annotation


def _count_left_out(lost: Counter[str]) -> int:
    return sum(count for what, count in lost.items() if what.endswith("left out"))


def _folder(source: Path) -> Path:
    """Return the folder that photos' names may be relative to, with all folders beside it."""
    if source.is_dir():
        return source
    return source.parent.parent if source.parent.name == coco.ANNOTATIONS else source.parent


def _of_folder(folder: Path) -> str:
    if (folder / label_studio.TASKS).exists():
        return "label-studio"
    if any(folder.glob("*.xml")) and not any(folder.glob("*.json")):
        return "cvat"
    inner = folder / coco.ANNOTATIONS
    if inner.is_dir() and any(inner.glob("*.json")):
        return "coco"
    for path in sorted(folder.rglob("*.json"))[:MAX_LOOKED_AT]:
        try:
            return _of_content(read_json(path))
        except IntakeError:  # it is named when all are read
            continue
    return ""


def _of_content(content: object) -> str:
    for tool, module in (("coco", coco), ("labelme", labelme), ("label-studio", label_studio)):
        if module.is_label_file(content):
            return tool
    return ""
