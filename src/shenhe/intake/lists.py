"""Photos, folders and JSONL lists -> tuples of photos that share a prompt, in order."""

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
from typing import TypeAlias

from shenhe.errors import IntakeError, UsageError
from shenhe.intake.folder import left_out_kind, list_folder
from shenhe.locations import Location, absolute, is_folder, locate, locate_beside, open_location
from shenhe.photos import is_photo

Photos: TypeAlias = tuple[Location, ...]
BATCH = 20_000
"""Rows of one database transaction."""


class PhotoLists:
    """Tuples of photos that share a prompt: single photos, or the photos of a list's line.

    Folders are walked recursively in natural order; links to folders are not followed. Duplicates
    and files that are not read are counted in `passed_over`; `faults` names the folders that
    cannot be listed. The tuples are stored in a temporary SQLite database, which spills to disk, so
    millions of photos fit.

        lists = PhotoLists([Path("site-photos"), Path("more.jsonl")])
        print(len(lists), lists.passed_over)
    """

    def __init__(self, sources: Iterable[Location]) -> None:
        """Collect the photos of all sources.

        Raises: IntakeError that names the source, or the line of a list.
        """
        self.passed_over: Counter[str] = Counter()
        self.faults: list[str] = []
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self.close = weakref.finalize(self, self._db.close)
        """Closes the database; called on garbage collection, from any thread."""
        self._db.execute("CREATE TABLE lists (number INTEGER PRIMARY KEY, name BLOB, photos BLOB)")
        self._db.execute("CREATE UNIQUE INDEX names ON lists (name)")
        total = 0
        rows = (_encoded(photos) for source in sources for photos in self._of_source(source))
        while batch := list(islice(rows, BATCH)):
            self._db.execute("BEGIN")
            self._db.executemany("INSERT OR IGNORE INTO lists (name, photos) VALUES (?, ?)", batch)
            self._db.execute("COMMIT")
            total += len(batch)
        (self._count,) = self._db.execute("SELECT count(*) FROM lists").fetchone()
        if duplicates := total - self._count:
            self.passed_over["named_again"] += duplicates

    def __len__(self) -> int:
        return int(self._count)

    def __iter__(self) -> Iterator[Photos]:
        for (names,) in self._db.execute("SELECT photos FROM lists ORDER BY number"):
            yield tuple(map(locate, names.decode("utf-8", "surrogateescape").split("\0")))

    def _of_source(self, source: Location) -> Iterator[Photos]:
        if _is_folder(source):
            yield from ((photo,) for photo in self._of_folder(source))
        elif source.suffix.casefold() == ".jsonl":
            yield from _read_list(source)
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
                listing = list_folder(folder, self.passed_over)
            except IntakeError as error:
                if folder == source:
                    raise
                self.faults.append(str(error))
                continue
            yield from (folder / entry.name for entry in listing.photos)
            for entry in listing.files:
                kind = left_out_kind(folder, entry)
                self.passed_over[f"{kind} not read" if kind else "not_a_photo"] += 1
            for entry in reversed(listing.folders):
                if _is_link(folder / entry.name):
                    self.passed_over["linked_folder"] += 1
                else:
                    folders.append(folder / entry.name)


def _is_link(folder: Location) -> bool:
    return isinstance(folder, Path) and folder.is_symlink()


def _encoded(photos: Photos) -> tuple[bytes, bytes]:
    """Encode photos as their NUL-separated paths, with a hash as the unique key."""
    text = "\0".join(str(absolute(photo)) for photo in photos)
    names = text.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(names, digest_size=16).digest(), names


def _is_name(text: str) -> bool:
    """Whether a text is a path that rows can hold: no NUL, no unpaired surrogate."""
    try:
        return "\0" not in text and bool(text.encode())
    except UnicodeEncodeError:
        return False


def _is_folder(source: Location) -> bool:
    try:
        return is_folder(source)
    except OSError as error:
        raise IntakeError(f"{source}: {error.strerror}") from error


def _read_list(path: Location) -> Iterator[Photos]:
    """Read rows of {"images": [...]}, with paths relative to the list's folder."""
    try:
        with open_location(path) as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _read_line(path, number, line)
    except OSError as error:
        raise IntakeError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise IntakeError(f"{path}: not UTF-8 text: {error}") from error


def _read_line(path: Location, number: int, line: str) -> Photos:
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
