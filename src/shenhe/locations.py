"""Where photos lie: on this machine's file systems, or where a URL says (S3, HDFS, HTTP ...).

What a URL names is reached through fsspec, whose settings and secrets come from the environment.
"""

from __future__ import annotations

import errno
import io
import os
import posixpath
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from shenhe.errors import ItemError, UsageError, item_wall

EXTRAS = {"s3": "s3", "s3a": "s3", "hdfs": "parquet", "arrow_hdfs": "parquet"}
"""The extra of this package that brings what a kind of URL needs; hdfs comes with pyarrow."""
VERSIONS = (
    *("ETag", "etag", "md5Hash", "content_md5", "checksum", "LastModified", "last_modified"),
    *("updated", "mtime", "modified", "modificationTime", "modification_time"),
)
"""By these names stores tell one version of a file from another; a tag says more than a time."""


@dataclass(frozen=True, slots=True, order=True)
class Remote:
    """What a URL names, with the names that `pathlib` has for its parts; `str` gives the URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Remote:
        return Remote(f"{self.url.rstrip('/')}/{name}")

    @property
    def parent(self) -> Remote:
        """The folder that it lies in."""
        return Remote(self.url.rstrip("/").rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without what follows its last dot."""
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The last dot of the last part and what follows it."""
        return posixpath.splitext(self.name)[1]


Location: TypeAlias = Path | Remote
"""A file or folder; `str` gives what `locate` takes."""


class FolderEntry(NamedTuple):
    """What a folder holds; `is_folder` also for a link to one.

    `size` in bytes and `stamp` are known where facts were asked for: the stamp changes when the
    file does (its time, or the tag that a store gives each version). No size: no file to read.
    """

    name: str
    is_folder: bool
    size: int | None = None
    stamp: str = ""


def locate(text: str) -> Location:
    """Give the location of a path or URL; nothing is asked yet whether it is there.

    Raises: UsageError for a name that no file can have, a URL of a kind that is unknown here, or
    one whose package is not installed: it says which.

    locate("s3://bucket/photos").name == "photos"
    """
    if "\0" in text:
        raise UsageError(f"{text}: a zero byte stands in no file's name")
    kind, is_url, _ = text.partition("://")
    if not is_url:
        return Path(text)
    try:
        address = urlsplit(text)
    except ValueError as error:  # brackets that hold no address of IPv6
        raise UsageError(f"{text}: no URL: {error}") from error
    if address.scheme == "file":
        return _on_this_disk(text, address.path)
    import fsspec  # slow to import, and few need it

    try:
        fsspec.get_filesystem_class(kind or "nothing")  # which fsspec takes for a path here
    except ImportError as error:
        raise _package_missing(text, kind, error) from error
    except ValueError as error:
        raise UsageError(
            f"{text}: {kind}:// is unknown: photos are read from paths here and from URLs as s3://,"
            " hdfs:// and https://"
        ) from error
    return Remote(text)


def location_text(location: Location) -> str:
    r"""Give the text that stands for a location in rows: `locate` reads it, and it is UTF-8.

    A path whose bytes are not UTF-8 (a folder from an archive made on Windows) becomes its URL.

        >>> location_text(Path("/data/\udcb2\udce2/1.jpg"))
        'file:///data/%B2%E2/1.jpg'
    """
    text = str(location)
    return text if is_utf8(text) or isinstance(location, Remote) else location.absolute().as_uri()


def is_utf8(name: str) -> bool:
    """Whether a name of the file system was UTF-8: other bytes became halves of characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _on_this_disk(url: str, path: str) -> Path:
    local = os.fsdecode(unquote_to_bytes(path))
    if not local or "\0" in local:
        raise UsageError(f"{url}: names no file: write file:///folder/photo.jpg")
    return Path(local)


def _package_missing(url: str, kind: str, error: ImportError) -> UsageError:
    """Name what must be installed: an extra of this package, or what fsspec asks for."""
    if kind in EXTRAS:
        remedy = f"pip install 'shenhe[{EXTRAS[kind]}]'"
    else:
        from fsspec.registry import known_implementations

        known = known_implementations.get(kind, {})
        remedy = known.get("err") or _first_line(error)
    return UsageError(f"{url}: {kind}:// needs a package that is not installed: {remedy}")


def absolute(location: Location) -> Location:
    """Give one spelling to one location; links stay as they are."""
    return Path(os.path.abspath(location)) if isinstance(location, Path) else location


def locate_beside(file: Location, name: str) -> Location:
    """Give the location that a file means by a name: where no more is said, it lies beside it.

    Raises: UsageError, see `locate`.
    """
    if "://" in name or "\0" in name or os.path.isabs(name):
        return locate(name)
    return file.parent / name


def is_folder(location: Location) -> bool:
    """Whether there is such a folder.

    Raises: OSError where it cannot be reached.
    """
    if isinstance(location, Path):
        return location.is_dir()
    with _reaching(location) as (system, path):
        return bool(system.isdir(path))


def scan_folder(folder: Location, *, facts: bool = False) -> Iterator[FolderEntry]:
    """Yield what a folder holds, as it comes; a link that leads nowhere is no folder.

    With `facts`, files come with their size and stamp, which costs a look at each.
    Raises: OSError.
    """
    if isinstance(folder, Path):
        with os.scandir(folder) as found:
            for entry in found:
                if _is_folder(entry):
                    yield FolderEntry(entry.name, True)
                else:
                    yield FolderEntry(entry.name, False, *(_facts(entry) if facts else ()))
        return
    with _reaching(folder) as (system, path):
        listed = system.ls(path, detail=True)
    for one in listed:
        whole = one["name"].rstrip("/")
        if whole != path.rstrip("/"):  # a store lists the empty object that marks a folder, too
            name, is_folder = whole.rpartition("/")[2], one["type"] == "directory"
            yield FolderEntry(name, is_folder, one.get("size"), _stamp(one))


@contextmanager
def open_location(file: Location) -> Iterator[BinaryIO]:
    """Open a file to read; what lies elsewhere is fetched whole, with one request.

    Raises: OSError.
    """
    if isinstance(file, Path):
        if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe waits until somebody writes
            raise OSError(errno.EINVAL, "not a file")
        with file.open("rb") as here:
            yield here
        return
    with _reaching(file) as (system, path):
        content = system.cat_file(path)
    yield io.BytesIO(content)


def read_head(file: Location, count: int) -> bytes:
    """Read the first bytes of a file; of what lies elsewhere, no more are fetched.

    Raises: OSError.
    """
    if isinstance(file, Path):
        with open_location(file) as here:
            return here.read(count)
    with _reaching(file) as (system, path):
        return bytes(system.cat_file(path, start=0, end=count))


def _facts(entry: os.DirEntry[str]) -> tuple[int | None, str]:
    try:
        facts = entry.stat()
    except OSError:  # a link that leads nowhere, a file that has gone since
        return None, ""
    if not stat.S_ISREG(facts.st_mode):
        return None, ""
    return facts.st_size, str(facts.st_mtime_ns)


def _stamp(listed: dict[str, Any]) -> str:
    """Give what a store says of a file's version: its tag, or when it was written."""
    for name in VERSIONS:
        if listed.get(name):
            return str(listed[name])
    return ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


@contextmanager
def _reaching(remote: Remote) -> Iterator[tuple[Any, str]]:
    """Give the file system and the path in it.

    Whatever a file system raises leaves as an OSError with one line and an errno.
    Raises: UsageError where its package is missing.
    """
    try:
        with item_wall("unreachable", remote):
            import fsspec

            # Listings of millions of names are not kept: each is asked for once.
            yield fsspec.core.url_to_fs(remote.url, use_listings_cache=False)
    except ItemError as wall:
        error = wall.__cause__
        if isinstance(error, MemoryError):
            raise error from None
        if isinstance(error, ImportError):
            kind = remote.url.partition("://")[0]
            raise _package_missing(remote.url, kind, error) from error
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(errno.ENOENT, "no such file or folder") from error
        number = errno.EACCES if isinstance(error, PermissionError) else errno.EIO
        raise OSError(number, _first_line(error)) from error


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0].strip() or type(error).__name__
