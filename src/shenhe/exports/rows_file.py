"""JSONL exports: a folder with its photos, or a single file that names them where they are."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Final, Self

from shenhe.exports.pixels import add_photo
from shenhe.exports.settings import ExportSettings, is_file
from shenhe.locations import Location, is_utf8, location_text

ROWS: Final = "train.jsonl"
PHOTOS: Final = "images"


class RowsFile:
    """The rows of an export while they are written."""

    def __init__(self, output: Path, settings: ExportSettings, losses: Counter[str]) -> None:
        """Begin the file, or the folder with its file."""
        self._folder = None if is_file(output) else output
        self._settings, self._losses = settings, losses
        if self._folder is not None:
            (self._folder / PHOTOS).mkdir(parents=True)
        self._path = output if self._folder is None else self._folder / ROWS
        self._file = self._path.open("w", encoding="utf-8")
        self._added: dict[Location, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def photo_name(self, photo: Location) -> str:
        """Name a photo relative to the file's folder, and add it to the folder if there is one."""
        if self._folder is None:
            return _relative(self._path.parent, photo)
        if photo not in self._added:
            copy = self._settings.copy_photos
            path = add_photo(photo, self._folder / PHOTOS, self._losses, copy=copy)
            self._added[photo] = f"{PHOTOS}/{path.name}"
        return self._added[photo]

    def write(self, row: str) -> None:
        """Append a row, which has no newline."""
        self._file.write(row + "\n")


def _relative(folder: Path, photo: Location) -> str:
    if isinstance(photo, Path):
        relative = os.path.relpath(photo.absolute(), folder.absolute())
        if is_utf8(relative):
            return relative
    return location_text(photo)
