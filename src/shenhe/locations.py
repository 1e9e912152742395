"""Locations of photos: paths on this machine, or URLs (S3, HDFS, HTTP ...).

URLs are read through fsspec, which takes its settings and secrets from the environment.
"""

from __future__ import annotations

import errno
import io
import os
import posixpath
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, NotRequired, Protocol, TypeAlias, TypedDict
from urllib.parse import unquote_to_bytes, urlsplit

from shenhe.errors import ItemError, UsageError, item_wall

EXTRAS = {"s3": "s3", "s3a": "s3", "hdfs": "parquet", "arrow_hdfs": "parquet"}
"""The extra of this package with the dependencies of a URL's scheme; hdfs comes with pyarrow."""
VERSIONS = (
    *("ETag", "etag", "md5Hash", "content_md5", "checksum", "LastModified", "last_modified"),
    *("updated", "mtime", "modified", "modificationTime", "modification_time"),
)
"""Keys under which stores list the version of a file; tags before times, which say less."""


class _Listed(TypedDict):
    """One entry of `ls`, without the keys that only some stores have."""

    name: str
    type: str
    size: NotRequired[int | None]


class _FileSystem(Protocol):
    """The methods of an fsspec file system that are used here."""

    def isdir(self, path: str) -> bool: ...
    def ls(self, path: str, detail: bool) -> list[_Listed]: ...
    def cat_file(self, path: str, start: int = ..., end: int = ...) -> bytes: ...


@dataclass(frozen=True, slots=True, order=True)
class Remote:
    """The location of a URL, its parts named as in `pathlib`; `str` returns the URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url.rstrip('/')}/{name}")

    @property
    def parent(self) -> Remote:
        """The folder that contains it."""
        return Remote(self.url.rstrip("/").rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The last dot of the last part, and the characters behind it."""
        return posixpath.splitext(self.name)[1]


Location: TypeAlias = Path | Remote
"""A file or folder; `locate` reads its `str`."""


class FolderEntry(NamedTuple):
    """A file or folder inside a folder; a link to a folder is a folder.

    `size` (bytes) and `stamp` (changes with the file: its time, or the tag of its version in a
    store) are set if facts were requested. An entry without a size is no readable file.
    """

    name: str
    is_folder: bool
    size: int | None = None
    stamp: str = ""


def locate(text: str) -> Location:
    """Return the location of a path or URL, without checking that it exists.

    Raises: UsageError for an impossible name, an unknown scheme, or a missing package.

        >>> locate("file:///data/photos/1.jpg").name
        '1.jpg'
    """
    if "\0" in text:
        raise UsageError(f"{text}: a zero byte stands in no file's name")
    scheme, is_url, _ = text.partition("://")
    if not is_url:
        return Path(text)
    try:
        address = urlsplit(text)
    except ValueError as error:  # brackets without an IPv6 address
        raise UsageError(f"{text}: no URL: {error}") from error
    if address.scheme == "file":
        return _local_path(text, address.path)
    import fsspec  # slow to import, and rarely needed

    try:
        fsspec.get_filesystem_class(scheme or "nothing")  # fsspec takes "" for a local path
    except ImportError as error:
        raise _package_missing(text, scheme, error) from error
    except ValueError as error:
        raise UsageError(
            f"{text}: {scheme}:// is unknown: photos are read from paths here and from URLs as s3://,"
            " hdfs:// and https://"
        ) from error
    return Remote(text)


def location_text(location: Location) -> str:
    r"""Return the text of a location in rows: UTF-8 that `locate` reads.

    A path whose bytes are not UTF-8 (a folder from an archive made on Windows) becomes a URL.

        >>> location_text(Path("/data/\udcb2\udce2/1.jpg"))
        'file:///data/%B2%E2/1.jpg'
    """
    text = str(location)
    return text if is_utf8(text) or isinstance(location, Remote) else location.absolute().as_uri()


def is_utf8(name: str) -> bool:
    """Whether a name from the file system was UTF-8; Python reads other bytes as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _local_path(url: str, path: str) -> Path:
    local = os.fsdecode(unquote_to_bytes(path))
    if not local or "\0" in local:
        raise UsageError(f"{url}: names no file: write file:///folder/photo.jpg")
    return Path(local)


def _package_missing(url: str, scheme: str, error: ImportError) -> UsageError:
    """Name the missing package: an extra of this package, or the one that fsspec names."""
    if scheme in EXTRAS:
        remedy = f"pip install 'shenhe[{EXTRAS[scheme]}]'"
    else:
        from fsspec.registry import known_implementations

        implementation = known_implementations.get(scheme, {})
        remedy = implementation.get("err") or _first_line(error)
    return UsageError(f"{url}: {scheme}:// needs a package that is not installed: {remedy}")


def absolute(location: Location) -> Location:
    """Return the absolute location; links are not resolved."""
    return Path(os.path.abspath(location)) if isinstance(location, Path) else location


def locate_beside(file: Location, name: str) -> Location:
    """Return the location that a name in a file refers to, relative to the file's folder.

    Raises: UsageError, see `locate`.

        >>> str(locate_beside(Path("/data/list.jsonl"), "photos/1.jpg"))
        '/data/photos/1.jpg'
    """
    if "://" in name or "\0" in name or os.path.isabs(name):
        return locate(name)
    return file.parent / name


def is_folder(location: Location) -> bool:
    """Whether a location is an existing folder.

    Raises: OSError if it cannot be reached.
    """
    if isinstance(location, Path):
        return location.is_dir()
    with _connect(location) as (system, path):
        return system.isdir(path)


def scan_folder(folder: Location, *, facts: bool = False) -> Iterator[FolderEntry]:
    """Yield the entries of a folder in no order; a broken link is no folder.

    With `facts`, files have their size and stamp, at the cost of a system call each.
    Raises: OSError.
    """
    if isinstance(folder, Path):
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_folder(entry):
                    yield FolderEntry(entry.name, True)
                else:
                    yield FolderEntry(entry.name, False, *(_facts(entry) if facts else ()))
        return
    with _connect(folder) as (system, path):
        listed = system.ls(path, detail=True)
    for item in listed:
        item_path = item["name"].rstrip("/")
        if item_path != path.rstrip("/"):  # stores also list the empty object of the folder itself
            name, is_folder = item_path.rpartition("/")[2], item["type"] == "directory"
            yield FolderEntry(name, is_folder, item.get("size"), _stamp(item))


@contextmanager
def open_location(file: Location) -> Iterator[BinaryIO]:
    """Open a file to read; a remote file is fetched whole, with one request.

    Raises: OSError.
    """
    if isinstance(file, Path):
        if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe blocks
            raise OSError(errno.EINVAL, "not a file")
        with file.open("rb") as stream:
            yield stream
        return
    with _connect(file) as (system, path):
        content = system.cat_file(path)
    yield io.BytesIO(content)


def read_head(file: Location, count: int) -> bytes:
    """Read the first `count` bytes of a file; no more of a remote file are fetched.

    Raises: OSError.
    """
    if isinstance(file, Path):
        with open_location(file) as stream:
            return stream.read(count)
    with _connect(file) as (system, path):
        return bytes(system.cat_file(path, start=0, end=count))


def _facts(entry: os.DirEntry[str]) -> tuple[int | None, str]:
    try:
        facts = entry.stat()
    except OSError:  # a broken link, a file deleted meanwhile
        return None, ""
    if not stat.S_ISREG(facts.st_mode):
        return None, ""
    return facts.st_size, str(facts.st_mtime_ns)


def _stamp(listed: Mapping[str, object]) -> str:
    """Return the version of a file in a store: its tag, or its time."""
    return next((str(listed[key]) for key in VERSIONS if listed.get(key)), "")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circular link
        return False


@contextmanager
def _connect(remote: Remote) -> Iterator[tuple[_FileSystem, str]]:
    """Yield the file system of a URL, and the path in it.

    Raises: OSError with one line and an errno for every error of the file system; UsageError if its
    package is missing.
    """
    try:
        with item_wall("unreachable", remote):
            import fsspec

            # Listings may hold millions of names and are read once: no cache.
            yield fsspec.core.url_to_fs(remote.url, use_listings_cache=False)
    except ItemError as item_error:
        error = item_error.__cause__
        if isinstance(error, MemoryError):
            raise error from None
        if isinstance(error, ImportError):
            scheme = remote.url.partition("://")[0]
            raise _package_missing(remote.url, scheme, error) from error
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, "no such file or folder") from error
        number = errno.EACCES if isinstance(error, PermissionError) else errno.EIO
        raise OSError(number, _first_line(error)) from error


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0].strip() or type(error).__name__
