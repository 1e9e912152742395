"""One folder of photos: its photos, the files left out that may be photos, and all other files.

A file is a photo by its suffix; any other file is judged by its first bytes. A file that may show
the site and is not decoded (a video, a PDF, an archive, an unknown kind) is left out and recorded,
because a group that was not seen completely never passes.
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
from shenhe.intake.spelling import escape_name, is_system_name
from shenhe.locations import (
    FolderEntry,
    Location,
    absolute,
    locate,
    open_location,
    read_head,
    scan_folder,
)
from shenhe.photos.kinds import HEAD_BYTES, SUFFIXES, is_photo, kind_of
from shenhe.values import LeftOut

NON_VISUAL_KINDS = frozenset(
    (
        *("HTML", "XML", "JSON", "LFS", "RTF", "SQLITE", "ELF"),
        *("MP3", "WAV", "OGG", "AMR"),
    )
)
"""Kinds without pictures."""
NON_VISUAL_SUFFIXES = frozenset(
    (
        *(".txt", ".md", ".csv", ".tsv", ".log", ".ini", ".cfg", ".json", ".jsonl", ".xml"),
        *(".yaml", ".yml", ".toml", ".xmp", ".aae", ".lnk", ".url", ".db", ".md5", ".sha256"),
        *(".wav", ".mp3", ".amr", ".m4a", ".aac", ".ogg", ".py", ".sh", ".bat", ".exe", ".dll"),
    )
)
"""Suffixes of files without pictures, used if the bytes do not identify the kind."""
OFFICE_SUFFIXES = frozenset(
    {".xlsx", ".xlsm", ".docx", ".pptx", ".ods", ".odt", ".odp", ".wps", ".et"}
)
"""Office documents in ZIP format, whose list of members shows whether they contain pictures."""
VISUAL_SUFFIXES = frozenset(
    (
        *(".avif", ".gif", ".jxl", ".jp2", ".psd", ".livp", ".pdf", ".zip", ".rar", ".7z", ".tar"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".gz", ".tgz"),
        *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".3gp"),
    )
)
"""Suffixes of files with pictures. Such a file that contains a web page or a Git LFS pointer is a
picture that was not fetched."""
MAX_NAMED = 200
"""Most files left out that are named for one group; the others are counted."""
MAX_DEPTH = 16


@dataclass(slots=True)
class Contents:
    """Contents of a group's folder: photos in natural order, files left out, files passed over."""

    photos: list[FolderEntry] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


class Listing(NamedTuple):
    """The visible entries of a folder by type, each in natural order; `files` are no photos."""

    folders: list[FolderEntry]
    photos: list[FolderEntry]
    files: list[FolderEntry]


def list_folder(folder: Location, passed_over: Counter[str]) -> Listing:
    """List a folder; hidden and system entries are counted in `passed_over`.

    Raises: IntakeError if it cannot be listed.
    """
    listing = Listing([], [], [])
    try:
        for entry in scan_folder(folder, facts=True):
            if entry.name.startswith("."):
                passed_over["hidden"] += 1
            elif is_system_name(entry.name):
                passed_over["system"] += 1
            elif entry.is_folder:
                listing.folders.append(entry)
            elif is_photo(entry.name):
                listing.photos.append(entry)
            else:
                listing.files.append(entry)
    except OSError as error:
        raise IntakeError(f"{folder}: cannot be listed: {error.strerror}") from error
    for entries in listing:
        entries.sort(key=lambda entry: natural_key(entry.name))
    return listing


def list_photos(folder: Location, passed_over: Counter[str] | None = None) -> tuple[Location, ...]:
    """List the photos of a group's folder in natural order, as absolute paths.

        list_photos(Path("photos/挡风板安装检查/审核通过/QC-1"))

    Raises: IntakeError if it cannot be listed.
    """
    listing = list_folder(folder, Counter() if passed_over is None else passed_over)
    parent = absolute(folder)
    return tuple(parent / entry.name for entry in listing.photos)


def list_photos_beside(item: str) -> tuple[Location, ...]:
    """List the photos in the folder of one, as a failure names it; none where it is gone.

    >>> list_photos_beside("/gone/QC-1/img-1.jpg")
    ()
    """
    if not is_photo(item):
        return ()
    try:
        return list_photos(locate(item).parent)
    except IntakeError:
        return ()


def read_contents(folder: Location) -> Contents:
    """List a group's folder, and the folders below it for files left out.

    Raises: IntakeError if it cannot be listed.
    """
    contents = Contents()
    listing = list_folder(folder, contents.passed_over)
    contents.photos.extend(listing.photos)
    for entry in listing.files:
        if kind := left_out_kind(folder, entry):
            contents.left_out.append(LeftOut(path=escape_name(entry.name), kind=kind))
        else:
            contents.passed_over["not_a_photo"] += 1
    if listing.folders:
        contents.passed_over["folder_in_group"] += len(listing.folders)
        visited = _ancestors(folder)
        for entry in listing.folders:
            contents.left_out.extend(_left_out_below(folder / entry.name, entry.name, visited))
    if len(contents.left_out) > MAX_NAMED:
        count = len(contents.left_out) - MAX_NAMED
        contents.left_out[MAX_NAMED:] = [LeftOut(path="...", kind=f"{count} more")]
    return contents


def left_out_kind(folder: Location, entry: FolderEntry) -> str:
    """Return the kind of a file that may show the site, "" for a file that certainly does not.

    A photo by its bytes counts whatever its suffix; an unreadable file may be a photo.
    """
    path, suffix = folder / entry.name, posixpath.splitext(entry.name)[1].casefold()
    if entry.size is None and isinstance(path, Path):
        try:
            regular = path.is_file()
            exists = regular or path.exists()
        except OSError:
            exists = False
        if not exists:
            return "" if suffix in NON_VISUAL_SUFFIXES else "broken_link"
        if not regular:  # a pipe, a device
            return ""
    try:
        with item_wall("unreadable", entry.name):
            # Object stores reject a range request for an empty object.
            head = read_head(path, HEAD_BYTES) if entry.size != 0 else b""
    except ItemError:
        return "" if suffix in NON_VISUAL_SUFFIXES else "unreadable"
    return _kind(path, head, suffix)


def _kind(file: Location, head: bytes, suffix: str) -> str:
    if not head:
        # An interrupted upload leaves empty files: 1.jpg.part, 1.avif.
        inner = posixpath.splitext(posixpath.splitext(file.name)[0])[1].casefold()
        may_show = inner in SUFFIXES or (suffix and suffix not in NON_VISUAL_SUFFIXES)
        return "unfinished" if may_show else ""
    kind = kind_of(head)
    if suffix in VISUAL_SUFFIXES:
        return kind or "unknown"
    if kind in NON_VISUAL_KINDS:
        return ""
    if kind == "ZIP" and suffix in OFFICE_SUFFIXES:
        return "" if _has_no_pictures(file) else suffix[1:].upper()
    if kind is not None:
        return kind
    return "" if suffix in NON_VISUAL_SUFFIXES or _is_text(head) else "unknown"


def _has_no_pictures(path: Location) -> bool:
    """Whether the list of members of an office document names no picture."""
    try:
        with (
            item_wall("unreadable", path),
            open_location(path) as file,
            zipfile.ZipFile(io.BytesIO(file.read()) if not file.seekable() else file) as document,
        ):
            names = [name.casefold() for name in document.namelist()]
    except ItemError:
        return False
    return not any("media/" in name or "pictures/" in name or is_photo(name) for name in names)


def _is_text(head: bytes) -> bool:
    """Whether bytes are text in UTF-8, GBK or UTF-16; the last character may be incomplete."""
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


def _left_out_below(
    folder: Location, inner_path: str, visited: set[tuple[int, int]]
) -> Iterator[LeftOut]:
    """Yield the files of a folder tree that may be photos; `visited` folders are skipped.

    `inner_path` is the path of the folder relative to the group's.
    """
    if inner_path.count("/") >= MAX_DEPTH:
        yield LeftOut(path=escape_name(inner_path), kind="folder")
        return
    if isinstance(folder, Path):
        try:
            facts = folder.stat()
        except OSError:
            yield LeftOut(path=escape_name(inner_path), kind="unreadable")
            return
        if (facts.st_dev, facts.st_ino) in visited:
            return
        visited.add((facts.st_dev, facts.st_ino))
    try:
        listing = list_folder(folder, Counter())
    except IntakeError:
        yield LeftOut(path=escape_name(inner_path), kind="unreadable")
        return
    for entry in listing.photos:
        yield LeftOut(path=escape_name(f"{inner_path}/{entry.name}"), kind="photo_in_folder")
    for entry in listing.files:
        if kind := left_out_kind(folder, entry):
            yield LeftOut(path=escape_name(f"{inner_path}/{entry.name}"), kind=kind)
    for entry in listing.folders:
        yield from _left_out_below(folder / entry.name, f"{inner_path}/{entry.name}", visited)


def _ancestors(folder: Location) -> set[tuple[int, int]]:
    """Identify a folder and its parents by device and inode, to skip links that lead upwards."""
    if not isinstance(folder, Path):
        return set()
    identities = set()
    resolved = folder.resolve()
    for parent in (resolved, *resolved.parents):
        try:
            facts = parent.stat()
        except OSError:
            continue
        identities.add((facts.st_dev, facts.st_ino))
    return identities
