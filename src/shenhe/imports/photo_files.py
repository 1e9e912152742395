"""The photos that label files name: looked for in the folder of the file and where the user says.

Names in files of others are not trusted: none leads out of these two folders.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from shenhe.errors import FormatError, spelled
from shenhe.photos import is_photo, unique_stem

_DRIVE: Final = re.compile(r"^[A-Za-z]:(?=/)")
_DIGEST: Final = re.compile(r"-[0-9a-f]{8}$")
"""The end of the stem that an export gives a photo, see `photos.unique_stem`."""


def is_file(path: Path) -> bool:
    """Whether a path names a file; one that no file system takes names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class PhotoFinder:
    """Finds photos by the names in a label file.

    Example:
        PhotoFinder(Path("labels"), Path("photos")).find(["images/1.jpg"])

    """

    def __init__(self, folder: Path, photos: Path | None = None) -> None:
        """Look below `photos` first, if it is given, then below the `folder` of the file."""
        self.folder = Path(os.path.abspath(folder))
        self._roots = [Path(os.path.abspath(root)) for root in (photos, folder) if root]
        self._indexes: dict[Path, _Index] = {}

    def find(self, names: Sequence[str]) -> Path:
        """Find the photo of one of several names; the first below the file's folder if none is.

        Raises: FormatError for a name that leads elsewhere, or fits several photos.
        """
        plain = [_plain(name) for name in names]
        for root in self._roots:
            candidates = (path for name in plain for path in _candidates(root, name))
            path = next(filter(is_file, candidates), None)
            if path is not None:
                return path
            for name in plain:
                path = self._index(root).find(PurePosixPath(name))
                if path is not None:
                    return path
        first = Path(os.path.abspath(self.folder / plain[0]))
        if not first.is_relative_to(self.folder):
            raise FormatError(
                "photo_outside",
                f"{names[0]!r:.120} lies elsewhere: name the folder of the photos,"
                f" {spelled('photos', 'DIR')}",
            )
        return first

    def _index(self, root: Path) -> _Index:
        if root not in self._indexes:
            self._indexes[root] = _Index(root)
        return self._indexes[root]


class _Index:
    """All photos below a folder, by name and by the stem that an export gives them."""

    def __init__(self, root: Path) -> None:
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, Path] = {}
        for folder, _, files in os.walk(root):
            for name in filter(is_photo, files):
                path = Path(folder, name)
                self._by_name[name.casefold()].append(path)
                self._by_stem[unique_stem(path)] = path

    def find(self, name: PurePosixPath) -> Path | None:
        """Find the photo of a name, by its last part and then by the folders before it.

        Raises: FormatError if there are several.
        """
        if name.stem in self._by_stem:
            return self._by_stem[name.stem]
        paths = self._by_name.get(name.name.casefold(), [])
        if not paths and _DIGEST.search(name.stem):
            paths = self._by_name.get((_DIGEST.sub("", name.stem) + name.suffix).casefold(), [])
        for start in range(len(name.parts) - 1):
            tail = name.parts[start:]
            alike = [path for path in paths if path.parts[-len(tail) :] == tail]
            if len(alike) == 1:
                return alike[0]
        if len(paths) > 1:
            raise FormatError("photo_ambiguous", f"{name} is either {paths[0]} or {paths[1]}")
        return paths[0] if paths else None


def _plain(name: str) -> str:
    """Write a name of any system with slashes.

    Raises: FormatError if it names nothing.
    """
    plain = _DRIVE.sub("", name.replace("\\", "/"))
    if not plain.strip("/. ") or not plain.isprintable() or len(plain) > 4096:
        raise FormatError("photo_name", f"{name!r:.60} names no photo")
    return plain


def _candidates(root: Path, name: str) -> Iterator[Path]:
    """Yield the paths below a folder that a name may mean: whole, then without its first parts."""
    if name.startswith("/") and Path(os.path.abspath(name)).is_relative_to(root):
        yield Path(os.path.abspath(name))
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
    whole = Path(os.path.abspath(root.joinpath(*parts)))
    if whole.is_relative_to(root):
        yield whole
    while ".." in parts:
        parts = parts[parts.index("..") + 1 :]
    for start in range(len(parts)):
        yield root.joinpath(*parts[start:])
