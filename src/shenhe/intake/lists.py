"""Photos, folders and JSONL lists -> the photos that are looked at together, in order."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from shenhe.errors import IntakeError, UsageError
from shenhe.intake.folder import kind_left_out, sort
from shenhe.locations import Location, absolute, is_folder, locate, locate_beside, open_location
from shenhe.photos import is_photo

Photos: TypeAlias = tuple[Location, ...]
BATCH = 20_000
"""So many are written to the database at once."""


class PhotoLists:
    """What is looked at together: a photo alone, each of a folder, those of a list's line.

    Folders are gone through with all below them, in natural order; links to folders are not
    followed. The same photos named again are passed over, and counted like what is no photo, or is
    of a kind that is not read. Few or millions, they lie in a database of SQLite's that goes to
    disk when it grows. `faults` names the folders that cannot be listed.
    """

    def __init__(self, sources: Iterable[Location]) -> None:
        """Gather everything that the sources name.

        Raises: IntakeError that names the source, or the line of a list.
        """
        self.passed_over: Counter[str] = Counter()
        self.faults: list[str] = []
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.close = weakref.finalize(self, self._db.close)
        """Lets go of the database; happens by itself, in any thread, when nobody has the lists."""
        self._db.execute("CREATE TABLE lists (number INTEGER PRIMARY KEY, name BLOB, photos BLOB)")
        self._db.execute("CREATE UNIQUE INDEX names ON lists (name)")
        named = 0
        every = (photos for source in sources for photos in self._of_source(source))
        while some := [_encoded(photos) for photos in islice(every, BATCH)]:
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO lists (name, photos) VALUES (?, ?)", some)
            self._db.execute("COMMIT")
            named += len(some)
        (self._count,) = self._db.execute("SELECT count(*) FROM lists").fetchone()
        if again := named - self._count:
            self.passed_over["named_again"] += again

    def __len__(self) -> int:
        return int(self._count)

    def __iter__(self) -> Iterator[Photos]:
        for (names,) in self._db.execute("SELECT photos FROM lists ORDER BY number"):
            yield tuple(map(locate, names.decode("utf-8", "surrogateescape").split("\0")))

    def _of_source(self, source: Location) -> Iterator[Photos]:
        if _is_folder(source):
            yield from ((photo,) for photo in self._of_folder(source))
        elif source.suffix.casefold() == ".jsonl":
            yield from _of_list(source)
        elif is_photo(source.name):
            yield (source,)
        elif isinstance(source, Path) and not source.exists():
            raise IntakeError(f"{source}: no such photo, folder or list")
        else:
            raise IntakeError(f"{source}: neither a photo, a folder nor a .jsonl list")

    def _of_folder(self, source: Location) -> Iterator[Location]:
        folders = [source]
        while folders:
            folder = folders.pop()
            try:
                found = sort(folder, self.passed_over)
            except IntakeError as error:
                if folder == source:
                    raise
                self.faults.append(str(error))
                continue
            yield from (folder / entry.name for entry in found.photos)
            for entry in found.others:
                kind = kind_left_out(folder, entry)
                self.passed_over[f"{kind} not read" if kind else "not_a_photo"] += 1
            for entry in reversed(found.folders):
                if _is_link(folder / entry.name):
                    self.passed_over["linked_folder"] += 1
                else:
                    folders.append(folder / entry.name)


def _is_link(folder: Location) -> bool:
    return isinstance(folder, Path) and folder.is_symlink()


def _encoded(photos: Photos) -> tuple[bytes, bytes]:
    """Write photos as their names, which hold no zero byte, and a hash to tell them by."""
    text = "\0".join(str(absolute(photo)) for photo in photos)
    names = text.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(names, digest_size=16).digest(), names


def _is_name(text: str) -> bool:
    """Whether a text may name a photo: no file system takes NUL or half a character."""
    try:
        return "\0" not in text and bool(os.fsencode(text))
    except UnicodeEncodeError:
        return False


def _is_folder(source: Location) -> bool:
    try:
        return is_folder(source)
    except OSError as error:
        raise IntakeError(f"{source}: {error.strerror}") from error


def _of_list(path: Location) -> Iterator[Photos]:
    """Read {"images": [...], ...} rows; paths are relative to the list's folder."""
    try:
        with open_location(path) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _of_line(path, number, line)
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise IntakeError(f"{path}: not UTF-8 text: {error}") from error


def _of_line(path: Location, number: int, line: str) -> Photos:
    try:
        images = json.loads(line)["images"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntakeError(f'{path}: line {number} is not {{"images": [...]}}: {error}') from error
    if not isinstance(images, list):
        images = []
    for image in images:
        if isinstance(image, str) and not _is_name(image):
            raise IntakeError(
                f"{path}: line {number}: {image[:80]!a} names no file: it holds a zero byte or"
                " half a character"
            )
    if not images or not all(isinstance(image, str) for image in images):
        raise IntakeError(f"{path}: line {number}: images must be a list of one path or more")
    try:
        return tuple(locate_beside(path, image) for image in images)
    except UsageError as error:
        raise IntakeError(f"{path}: line {number}: {error}") from error
