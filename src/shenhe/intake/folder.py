"""One folder of photos: which files are photos, which may be and are not read, which are none.

By its name a file is taken for a photo, by its first bytes for what is none. What may be a photo
and is not read (a film, a PDF, an archive, a kind that is not known) is told by name: a group that
was not looked at whole is no group that passes.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from shenhe.errors import IntakeError, ItemError, item_wall
from shenhe.intake.ordering import natural_key
from shenhe.intake.spelling import is_system, written_name
from shenhe.locations import FolderEntry, Location, absolute, open_location, read_head, scan_folder
from shenhe.photos.kinds import HEAD_BYTES, SUFFIXES, is_photo, kind_of
from shenhe.values import LeftOut

NO_PHOTOS = frozenset(
    (
        *("HTML", "XML", "JSON", "LFS", "RTF", "SQLITE", "ELF"),
        *("MP3", "WAV", "OGG", "AMR"),
    )
)
"""Kinds that show nothing."""
NO_PHOTO_SUFFIXES = frozenset(
    (
        *(".txt", ".md", ".csv", ".tsv", ".log", ".ini", ".cfg", ".json", ".jsonl", ".xml"),
        *(".yaml", ".yml", ".toml", ".xmp", ".aae", ".lnk", ".url", ".db", ".md5", ".sha256"),
        *(".wav", ".mp3", ".amr", ".m4a", ".aac", ".ogg", ".py", ".sh", ".bat", ".exe", ".dll"),
    )
)
"""Names of what shows nothing, where the bytes do not say otherwise."""
SHEETS = frozenset({".xlsx", ".xlsm", ".docx", ".pptx", ".ods", ".odt", ".odp", ".wps", ".et"})
"""Office documents that are ZIP: their pictures can be seen from the list of what they hold."""
SHOWING = frozenset(
    (
        *(".avif", ".gif", ".jxl", ".jp2", ".psd", ".livp", ".pdf", ".zip", ".rar", ".7z", ".tar"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".gz", ".tgz"),
        *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp"),
    )
)
"""Names of what shows something. One that holds a web page or a pointer of Git LFS stands where a
photo should: it was not fetched."""
MAX_NAMED = 200
"""So many files are named of one group; the rest is only known to be there."""
MAX_DEPTH = 16


@dataclass(slots=True)
class Contents:
    """What a folder holds: photos in natural order, what was left out, and what was passed over."""

    photos: list[FolderEntry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


class Sorted(NamedTuple):
    """The entries of a folder by what they are, each in natural order; hidden ones are gone."""

    folders: list[FolderEntry]
    photos: list[FolderEntry]
    others: list[FolderEntry]


def sort(folder: Location, passed_over: Counter[str]) -> Sorted:
    """List a folder; what is hidden, or of a system's making, is passed over and counted.

    Raises: IntakeError if it cannot be listed.
    """
    found = Sorted([], [], [])
    try:
        for entry in scan_folder(folder, facts=True):
            if entry.name.startswith("."):
                passed_over["hidden"] += 1
            elif is_system(entry.name):
                passed_over["system"] += 1
            elif entry.is_folder:
                found.folders.append(entry)
            elif is_photo(entry.name):
                found.photos.append(entry)
            else:
                found.others.append(entry)
    except OSError as error:
        raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error
    for some in found:
        some.sort(key=lambda entry: natural_key(entry.name))
    return found


def group_photos(folder: Location, passed_over: Counter[str] | None = None) -> tuple[Location, ...]:
    """List the photos of a group's folder in natural order, as absolute paths.

    Raises: IntakeError if it cannot be listed.
    """
    found = sort(folder, Counter() if passed_over is None else passed_over)
    whole = absolute(folder)
    return tuple(whole / entry.name for entry in found.photos)


def look(folder: Location) -> Contents:
    """Look at a group's folder: its photos, and all that may be one.

    Raises: IntakeError if it cannot be listed.
    """
    contents = Contents()
    found = sort(folder, contents.passed_over)
    contents.photos.extend(found.photos)
    for entry in found.others:
        if kind := kind_left_out(folder, entry):
            contents.left_out.append(LeftOut(path=written_name(entry.name), kind=kind))
        else:
            contents.passed_over["not_a_photo"] += 1
    contents.passed_over.update({"folder_in_group": len(found.folders)} if found.folders else {})
    if found.folders:
        seen = _identities(folder)
        for entry in found.folders:
            contents.left_out.extend(_below(folder / entry.name, entry.name, seen))
    if len(contents.left_out) > MAX_NAMED:
        rest = len(contents.left_out) - MAX_NAMED
        contents.left_out[MAX_NAMED:] = [LeftOut(path="...", kind=f"{rest} more")]
    return contents


def kind_left_out(folder: Location, entry: FolderEntry) -> str:
    """Say of a file that is no photo by its name what it is, nothing where it surely shows nothing.

    A photo by its bytes is one, whatever it is called. What cannot be read may be anything.
    """
    suffix = posixpath.splitext(entry.name)[1].casefold()
    if entry.size is None and isinstance(folder, Path):
        try:
            regular = (folder / entry.name).is_file()
            leads = regular or (folder / entry.name).exists()
        except OSError:
            leads = False
        if not leads:
            return "" if suffix in NO_PHOTO_SUFFIXES else "broken_link"
        if not regular:  # a pipe, a device
            return ""
    try:
        with item_wall("unreadable", entry.name):
            # A store has no first bytes of nothing to give.
            head = read_head(folder / entry.name, HEAD_BYTES) if entry.size != 0 else b""
    except ItemError:
        return "" if suffix in NO_PHOTO_SUFFIXES else "unreadable"
    return _kind(folder / entry.name, head, suffix)


def _kind(file: Location, head: bytes, suffix: str) -> str:
    if not head:
        # An upload that was broken off leaves such files: 1.jpg.part, 1.avif.
        inner = posixpath.splitext(posixpath.splitext(file.name)[0])[1].casefold()
        shows = inner in SUFFIXES or (suffix and suffix not in NO_PHOTO_SUFFIXES)
        return "unfinished" if shows else ""
    kind = kind_of(head)
    if suffix in SHOWING:
        return kind or "unknown"
    if kind in NO_PHOTOS:
        return ""
    if kind == "ZIP" and suffix in SHEETS:
        return "" if _no_pictures(file) else suffix[1:].upper()
    if kind is not None:
        return kind
    return "" if suffix in NO_PHOTO_SUFFIXES or _is_text(head) else "unknown"


def _no_pictures(file: Location) -> bool:
    """Whether an office document holds no picture, by the list of what it holds."""
    try:
        with (
            item_wall("unreadable", file),
            open_location(file) as here,
            zipfile.ZipFile(io.BytesIO(here.read()) if not here.seekable() else here) as document,
        ):
            names = [name.casefold() for name in document.namelist()]
    except ItemError:
        return False
    return not any("media/" in name or "pictures/" in name or is_photo(name) for name in names)


def _is_text(head: bytes) -> bool:
    """Whether bytes are text, in UTF-8, GBK or UTF-16; a character may be cut at their end."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if any(byte < 0x20 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    for encoding in ("utf-8", "gb18030"):
        for cut in range(4):
            try:
                head[: len(head) - cut].decode(encoding)
            except UnicodeDecodeError:
                continue
            return True
    return False


def _below(folder: Location, told: str, seen: set[tuple[int, int]]) -> Iterator[LeftOut]:
    """Yield all that may be a photo in a folder and below it; no folder is gone through twice.

    `told` is its path from the group's folder.
    """
    if told.count("/") >= MAX_DEPTH:
        yield LeftOut(path=written_name(told), kind="folder")
        return
    if isinstance(folder, Path):
        try:
            facts = folder.stat()
        except OSError:
            yield LeftOut(path=written_name(told), kind="unreadable")
            return
        if (facts.st_dev, facts.st_ino) in seen:
            return
        seen.add((facts.st_dev, facts.st_ino))
    try:
        found = sort(folder, Counter())
    except IntakeError:
        yield LeftOut(path=written_name(told), kind="unreadable")
        return
    for entry in found.photos:
        yield LeftOut(path=written_name(f"{told}/{entry.name}"), kind="photo_in_folder")
    for entry in found.others:
        if kind := kind_left_out(folder, entry):
            yield LeftOut(path=written_name(f"{told}/{entry.name}"), kind=kind)
    for entry in found.folders:
        yield from _below(folder / entry.name, f"{told}/{entry.name}", seen)


def _identities(folder: Location) -> set[tuple[int, int]]:
    """Tell a folder and all above it, so that a link up the tree is not gone through."""
    if not isinstance(folder, Path):
        return set()
    seen = set()
    here = folder.resolve()
    for above in (here, *here.parents):
        try:
            facts = above.stat()
        except OSError:
            continue
        seen.add((facts.st_dev, facts.st_ino))
    return seen
