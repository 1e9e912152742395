"""Photos, folders and JSONL lists -> the photos that are looked at together, in order."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from shenhe.errors import IntakeError
from shenhe.intake.ordering import natural_key
from shenhe.photos import SUFFIXES

Photos = tuple[Path, ...]


def photo_lists(
    sources: Iterable[Path], passed_over: Counter[str] | None = None
) -> Iterator[Photos]:
    """Yield photos to look at together: a photo alone, each of a folder, those of a list's line.

    Folders are gone through with all below them, in natural order; links to folders are not
    followed. The same photos named again are passed over, and counted like what is no photo.
    Raises: IntakeError that names the source, or the line of a list.
    """
    counter = Counter() if passed_over is None else passed_over
    seen: set[Photos] = set()
    for source in sources:
        for photos in _of_source(source, counter):
            found = tuple(map(absolute, photos))
            if found in seen:
                counter["named_again"] += 1
                continue
            seen.add(found)
            yield found


def absolute(path: Path) -> Path:
    """Give one spelling to one path; links stay as they are."""
    return Path(os.path.abspath(path))


def _of_source(source: Path, counter: Counter[str]) -> Iterator[Photos]:
    if source.is_dir():
        yield from ((path,) for path in _of_folder(source, counter))
    elif source.suffix.casefold() == ".jsonl":
        yield from _of_list(source)
    elif source.suffix.casefold() in SUFFIXES:
        yield (source,)
    elif source.exists():
        raise IntakeError(f"{source}: neither a photo, a folder nor a .jsonl list")
    else:
        raise IntakeError(f"{source}: no such photo, folder or list")


def _of_folder(folder: Path, counter: Counter[str]) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise IntakeError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for where, folders, names in os.walk(folder, onerror=fail):
        if hidden := sum(name.startswith(".") for name in (*folders, *names)):
            counter["hidden"] += hidden
        folders[:] = sorted((n for n in folders if not n.startswith(".")), key=natural_key)
        for name in sorted((n for n in names if not n.startswith(".")), key=natural_key):
            if Path(name).suffix.casefold() in SUFFIXES:
                yield Path(where) / name
            else:
                counter["not_a_photo"] += 1


def _of_list(path: Path) -> Iterator[Photos]:
    """Read {"images": [...], ...} rows; paths are relative to the list's folder."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _of_line(path, number, line)
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise IntakeError(f"{path}: not UTF-8 text: {error}") from error


def _of_line(path: Path, number: int, line: str) -> Photos:
    try:
        images = json.loads(line)["images"]
    except (ValueError, KeyError, TypeError) as error:
        raise IntakeError(f'{path}: line {number} is not {{"images": [...]}}: {error}') from error
    if not isinstance(images, list) or not images or not all(isinstance(i, str) for i in images):
        raise IntakeError(f"{path}: line {number}: images must be a list of one path or more")
    return tuple(path.parent / image for image in images)
