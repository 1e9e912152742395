"""Training rows, also of other tools: {"images": [path], "objects": [{"bbox_2d"|"quad"|"poly"|
"line": [...], "desc": "..."}], "width": W, "height": H, "summary": "..."}, in pixels of the upright
original.

`image` and `image_1` name the photo as well as `images`; sizes that are missing are the photo's.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shenhe import photos
from shenhe.errors import FormatError, PhotoError
from shenhe.geometry import COUNT_KEYS, GEOMETRIES, Size, from_numbers
from shenhe.imports.labelled import in_frame
from shenhe.imports.photo_files import PhotoFinder
from shenhe.locations import Location, absolute, locate_beside
from shenhe.values import Annotation, CaptionObject

_IMAGE: Final = re.compile(r"image(?:_?[0-9]{1,6})?")
MAX_NAMED_KEYS: Final = 20
"""Number of losses from which on a further key of objects is counted without its name."""
OWN_KEYS: Final = frozenset({"images", "objects", "width", "height", "summary"})


class TrainingObject(BaseModel):
    """One object of a training row; keys of others are known, to be named as lost.

    Units: pixels of the upright original.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    bbox_2d: list[float] | None = None
    quad: list[float] | None = None
    poly: list[float] | None = None
    poly_points: int | None = None
    line: list[float] | None = None
    line_points: int | None = None
    desc: str = Field(min_length=1)


class TrainingRow(BaseModel):
    """A training row without the names of its photos; other keys are carried on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    objects: list[TrainingObject]
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)
    summary: str | dict[str, JsonValue] | list[JsonValue] | None = None


class RowPhotos:
    """The photos that the rows of a file name."""

    def __init__(self, file: Path, folder: Path | None = None) -> None:
        """Look for those that are not where they are said to be below a folder, if it is given."""
        self._file = file
        self._finder = PhotoFinder(folder) if folder is not None else None

    def names(self, row: dict[str, object]) -> list[str]:
        """Give the names of a row's photos: of `images`, else of `image`, `image_1` and so on.

        Raises: FormatError if it names none.
        """
        named = row.get("images")
        if named is None:
            named = [row[key] for key in _image_keys(row)]
        names = named if isinstance(named, list) else [named]
        if len(names) == 1 and isinstance(names[0], list):
            names = names[0]
        # ms-swift and others write a photo as {"path": ...} or {"bytes": ..., "path": ...} too.
        texts = [name.get("path") if isinstance(name, dict) else name for name in names]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise FormatError("images", "images: it names no photo")
        return [text for text in texts if isinstance(text, str)]

    def find(self, name: str) -> Location:
        """Find the photo of a name.

        Raises: UsageError for an impossible name; FormatError for one that fits several photos.
        """
        path = absolute(locate_beside(self._file, name))
        if self._finder is None or not isinstance(path, Path) or path.exists():
            return path
        found = self._finder.find([name])
        return found if found.exists() else path


def is_training_row(row: dict[str, object]) -> bool:
    """Whether a row tells objects."""
    return isinstance(row.get("objects"), list)


def read_training_row(row: dict[str, object], found: RowPhotos, lost: Counter[str]) -> Annotation:
    """Read a row about one photo.

    Raises: pydantic.ValidationError, FormatError, GeometryError; UsageError for an impossible name.
    """
    names = found.names(row)
    if len(names) != 1:
        raise FormatError("images", f"images: objects of {len(names)} photos; one is needed")
    content = TrainingRow.model_validate(row)
    path = found.find(names[0])
    size = _size(content, path)
    objects = tuple(
        _object(number, entry, size, lost) for number, entry in enumerate(content.objects, 1)
    )
    extra = {key: value for key, value in row.items() if key not in OWN_KEYS | _image_keys(row)}
    summary = content.summary if isinstance(content.summary, str) else ""
    if content.summary is not None and not isinstance(content.summary, str):
        extra["summary"] = content.summary
    return Annotation(path, size, objects, summary, extra)


def _image_keys(row: dict[str, object]) -> set[str]:
    return {key for key in row if _IMAGE.fullmatch(key)}


def _size(content: TrainingRow, path: Location) -> Size:
    """Give the size that a row tells, else that of its photo, upright.

    Raises: FormatError if nothing tells it.
    """
    if content.width is not None and content.height is not None:
        return Size(content.width, content.height)
    try:
        return photos.read_stored_size(path).upright
    except PhotoError as error:
        raise FormatError("size", f"no size, and no photo to measure: {error}") from error


def _object(number: int, entry: TrainingObject, size_wh: Size, lost: Counter[str]) -> CaptionObject:
    numbers_by_kind: list[tuple[str, list[float]]] = [
        (kind, numbers) for kind in GEOMETRIES if (numbers := getattr(entry, kind)) is not None
    ]
    if len(numbers_by_kind) != 1:
        raise FormatError("geometry_count", f"object {number} needs one of {GEOMETRIES}")
    ((kind, numbers),) = numbers_by_kind
    count_key = COUNT_KEYS.get(kind)
    count = getattr(entry, count_key) if count_key else None
    if count is not None and 2 * count != len(numbers):
        raise FormatError("geometry", f"object {number}: {count_key} {count}")
    _count_other_keys(entry, lost)
    return CaptionObject(in_frame(from_numbers(kind, numbers), size_wh, lost), entry.desc)


def _count_other_keys(entry: TrainingObject, lost: Counter[str]) -> None:
    for key, value in (entry.model_extra or {}).items():
        loss = f"objects with the key {key[:40]!r}: left out, captions hold geometry and desc"
        if loss not in lost and len(lost) >= MAX_NAMED_KEYS:
            loss = "further keys of objects: left out"
        lost[loss] += value is not None
