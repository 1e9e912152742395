"""Photos, folders and JSONL lists -> the photos that are looked at together, in order."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn, TypeAlias

from shenhe.errors import IntakeError, UsageError
from shenhe.intake.ordering import natural_key
from shenhe.locations import Location, absolute, beside, is_folder, locate, opened, walk
from shenhe.photos import is_photo

Photos: TypeAlias = tuple[Location, ...]
BATCH = 20_000
"""So many are written to the database at once."""


class PhotoLists:
    """What is looked at together: a photo alone, each of a folder, those of a list's line.

    Folders are gone through with all below them, in natural order; links to folders are not
    followed. The same photos named again are passed over, and counted like what is no photo. Few
    or millions, they lie in a database of SQLite's that goes to disk when it grows.
    """

    def __init__(self, sources: Iterable[Location]) -> None:
        """Gather everything that the sources name.

        Raises: IntakeError that names the source, or the line of a list.
        """
        self.passed_over: Counter[str] = Counter()
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

    def _of_folder(self, folder: Location) -> Iterator[Location]:
        for where, folders, names in walk(folder, _fail):
            if hidden := sum(name.startswith(".") for name in (*folders, *names)):
                self.passed_over["hidden"] += hidden
            folders[:] = sorted((n for n in folders if not n.startswith(".")), key=natural_key)
            for name in sorted((n for n in names if not n.startswith(".")), key=natural_key):
                if is_photo(name):
                    yield where / name
                else:
                    self.passed_over["not_a_photo"] += 1


def _encoded(photos: Photos) -> tuple[bytes, bytes]:
    """Write photos as their names, which hold no zero byte, and a hash to tell them by."""
    text = "\0".join(str(absolute(photo)) for photo in photos)
    names = text.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(names, digest_size=16).digest(), names


def _is_folder(source: Location) -> bool:
    try:
        return is_folder(source)
    except OSError as error:
        raise IntakeError(f"{source}: {error.strerror}") from error


def _fail(folder: Location, error: OSError) -> NoReturn:
    raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error


def _of_list(path: Location) -> Iterator[Photos]:
    """Read {"images": [...], ...} rows; paths are relative to the list's folder."""
    try:
        with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
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
    except (ValueError, KeyError, TypeError) as error:
        raise IntakeError(f'{path}: line {number} is not {{"images": [...]}}: {error}') from error
    if not isinstance(images, list) or not images or not all(isinstance(i, str) for i in images):
        raise IntakeError(f"{path}: line {number}: images must be a list of one path or more")
    try:
        return tuple(beside(path, image) for image in images)
    except UsageError as error:
        raise IntakeError(f"{path}: line {number}: {error}") from error
