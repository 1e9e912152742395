"""Photos as rows of datasets name them: paths, URLs, and the bytes of files inside the row."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from shenhe.errors import FormatError, UsageError
from shenhe.files import whole_file
from shenhe.locations import Location, locate, locate_beside
from shenhe.photos.kinds import HEAD_BYTES, kind_of

PhotoSource: TypeAlias = str | bytes
"""The name of a photo, or the bytes of its file."""
ROOT_VARIABLE: Final = "ROOT_IMAGE_DIR"
"""Names the folder of photos, as for ms-swift."""
_DATA_URL: Final = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
MIN_ENCODED: Final = 64
"""Number of characters from which a text without a dot may be the bytes of a photo."""
MAX_NAME: Final = 2000
"""Number of characters from which a text is the bytes of a photo, and no name; as in ms-swift."""


def photo_sources(value: object) -> tuple[PhotoSource, ...]:
    """Read the photos of a row: a name, {"path": ...} or {"bytes": ...}, or a list of these.

    >>> photo_sources(["1.jpg", {"bytes": None, "path": "2.jpg"}])
    ('1.jpg', '2.jpg')

    Raises: FormatError.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise FormatError("bad_row", "images is no list") from error
    listed = value if isinstance(value, list) else [value]
    return tuple(_source(photo) for photo in listed if photo is not None)


def store_photo(content: bytes, folder: Path) -> Path:
    """Write the bytes of a photo to a file that is named after them, unless it is there.

    Raises: RunError.
    """
    kind = kind_of(content[:HEAD_BYTES]) or "photo"
    name = hashlib.sha256(content).hexdigest()[:24]
    path = folder / f"{name}.{kind.lower().replace(' ', '-')}"
    if path.exists() and path.stat().st_size == len(content):
        return path
    with whole_file(path) as temporary:
        temporary.write_bytes(content)
    return path


def find_photo(name: str, dataset: Location, environ: Mapping[str, str]) -> Location:
    """Find a photo where ms-swift looks, in the working folder and in ROOT_IMAGE_DIR, or else
    beside the dataset; where it is nowhere, it is expected in the working folder.

    Raises: FormatError for a name that no file has.
    """
    try:
        relative = locate(os.path.expanduser(name))
        if not isinstance(relative, Path) or relative.is_absolute():
            return relative
        candidates: list[Location] = [relative]
        if root := environ.get(ROOT_VARIABLE):
            candidates.append(Path(root) / name)
        candidates.append(locate_beside(dataset, name))
    except UsageError as error:
        raise FormatError("bad_row", str(error)) from error
    here = (path for path in candidates if isinstance(path, Path) and _exists(path))
    photo: Location = next(here, relative)
    if not isinstance(dataset, Path) and photo is relative and not _exists(relative):
        photo = candidates[-1]
    return Path(os.path.abspath(photo)) if isinstance(photo, Path) else photo


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file system takes
        return False


def _source(photo: object) -> PhotoSource:
    if isinstance(photo, dict):
        content = photo.get("bytes")
        if isinstance(content, str) and content:
            return _decode(content)
        photo = photo.get("path") or photo.get("url") or photo.get("image")
    if not isinstance(photo, str) or not photo.strip():
        raise FormatError("bad_row", "a photo has neither path nor bytes")
    name = photo.strip()
    if name.startswith("data:"):
        match = _DATA_URL.match(name)
        if match is None:
            raise FormatError("bad_row", "a data URL of a photo is not in base64")
        return _decode(name[match.end() :])
    if len(name) > MAX_NAME:
        return _decode(name)
    if len(name) >= MIN_ENCODED and "." not in name:  # base64 has no dot, names of photos have one
        with suppress(FormatError):
            if kind_of((content := _decode(name))[:HEAD_BYTES]):
                return content
    if "\0" in name:
        raise FormatError("bad_row", f"{name[:80]!a} names no file")
    return name


def _decode(text: str) -> bytes:
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise FormatError("bad_row", f"the bytes of a photo are no base64: {error}") from error
    if not content:
        raise FormatError("bad_row", "the bytes of a photo are empty")
    return content
