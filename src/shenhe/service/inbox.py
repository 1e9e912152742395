"""The inbox: photos that come in are written to disk and hashed, and put in their place at once.

What clients call a photo is kept beside it and never becomes a part of a path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from shenhe.errors import RunError
from shenhe.files import DISK_FULL, sync_folder, write_error
from shenhe.photos.kinds import HEAD_BYTES, READABLE, kind_of
from shenhe.service.limits import Limits
from shenhe.service.refusals import RefusedError
from shenhe.values import photo_key

SUFFIXES: Final = {"JPEG": ".jpg", "HEIC": ".heic", "TIFF": ".tif"}
"""Suffixes of kinds that are not written like the kind itself."""
STALE_SECONDS: Final = 6 * 3600
"""Age of a half received submission whose process is gone. Units: seconds."""
RETRY_SECONDS: Final = 60
INCOMING: Final = "incoming"
"""The folder of what is being received."""


@dataclass(frozen=True, slots=True)
class ReceivedPhoto:
    """A photo on disk: what its client calls it, its kind, hash and size in bytes.

    Example:
        ReceivedPhoto(path, "现场1.jpg", "JPEG", "9f86d0...", 204_800)

    """

    path: Path
    name: str
    kind: str
    content_hash: str
    size: int


class PhotoWriter:
    """A photo that is being written; `write` refuses it as soon as it exceeds a limit."""

    def __init__(self, path: Path, name: str, limits: Limits) -> None:
        """Begin a file that must not be there."""
        self.path, self.name = path, name
        self._limits = limits
        self._file: BinaryIO = path.open("xb")
        self._hash, self._head, self.size = hashlib.sha256(), b"", 0

    def write(self, data: bytes) -> None:
        """Write further bytes.

        Raises: RefusedError for a photo over the limit, or a file of a kind that is not read.
        """
        self.size += len(data)
        if self.size > self._limits.photo_bytes:
            limit = self._limits.photo_bytes
            raise RefusedError(
                413, "photo_too_large", f"{self.name}: over the limit of {limit:,} bytes"
            )
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
            if len(self._head) == HEAD_BYTES:
                self._check_kind()
        self._hash.update(data)
        self._file.write(data)

    def finish(self, *, is_durable: bool = True) -> ReceivedPhoto:
        """Sync the photo to disk if it must outlive a crash, and close it.

        Raises: RefusedError for an empty file, or one of a kind that is not read.
        """
        kind = self._check_kind()
        self._file.flush()
        if is_durable:
            os.fsync(self._file.fileno())
        self._file.close()
        path = self.path.with_suffix(SUFFIXES.get(kind, f".{kind.lower()}"))
        self.path.rename(path)
        return ReceivedPhoto(path, self.name, kind, self._hash.hexdigest(), self.size)

    def close(self) -> None:
        """Close a file that is given up."""
        self._file.close()

    def _check_kind(self) -> str:
        if not self._head:
            raise RefusedError(400, "empty_photo", f"{self.name}: the file is empty")
        kind = kind_of(self._head)
        if kind not in READABLE:
            readable = ", ".join(sorted(READABLE))
            problem = f"{self.name}: {kind or 'unknown'} is not a kind that is read: {readable}"
            raise RefusedError(415, "kind_not_read", problem)
        return kind


@dataclass(slots=True)
class Reception:
    """The photos of one submission while they come in, in a folder of their own.

    `is_kept` says that a job has them, or may have them; what is not durable may be lost in a
    crash.
    """

    folder: Path
    limits: Limits
    photos: list[ReceivedPhoto] = field(default_factory=list)
    size: int = 0
    is_kept: bool = False
    is_durable: bool = True
    _writer: PhotoWriter | None = None

    def begin_photo(self, name: str) -> None:
        """Begin a further photo.

        Raises: RefusedError where there are too many.
        """
        if len(self.photos) >= self.limits.photos:
            problem = f"more than {self.limits.photos} photos in one group"
            raise RefusedError(413, "too_many_photos", problem)
        count = len(self.photos)
        path, name = self.folder / f"{count + 1:03}", name or photo_key(count)
        self._writer = PhotoWriter(path, name, self.limits)

    def write(self, data: bytes) -> None:
        """Write further bytes of the photo.

        Raises: RefusedError where photo or group exceed a limit, or the disk is full; RunError.
        """
        self.size += len(data)
        if self.size > self.limits.group_bytes:
            problem = f"photos of over {self.limits.group_bytes:,} bytes in one group"
            raise RefusedError(413, "group_too_large", problem)
        assert self._writer is not None
        try:
            self._writer.write(data)
        except OSError as error:
            raise _disk_refusal(self.folder, error) from error

    def end_photo(self) -> None:
        """Sync the photo to disk.

        Raises: RefusedError for a file that is no photo, or where the disk is full; RunError.
        """
        assert self._writer is not None
        try:
            self.photos.append(self._writer.finish(is_durable=self.is_durable))
        except OSError as error:
            raise _disk_refusal(self.folder, error) from error
        self._writer = None

    def close(self) -> None:
        """Remove what has come in, unless it is kept."""
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
        if not self.is_kept:
            shutil.rmtree(self.folder, ignore_errors=True)


class Inbox:
    """The photos of a service: DIR/photos/<day>/<submission>/<number>.<suffix>.

    Example:
        reception = Inbox(Path("service/photos")).receive(Limits())

    """

    def __init__(self, folder: Path) -> None:
        """Use a folder, which is made when the first photo comes."""
        # Jobs name photos by their paths, and are worked by processes that were begun elsewhere.
        self.folder = folder.absolute()
        self._incoming = self.folder / INCOMING

    def receive(self, limits: Limits, *, is_durable: bool = True) -> Reception:
        """Begin a submission.

        Raises: RefusedError where the disk is full; RunError where the folder cannot be written.
        """
        folder = self._incoming / uuid.uuid4().hex
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise _disk_refusal(folder, error) from error
        return Reception(folder, limits, is_durable=is_durable)

    def place(self, reception: Reception) -> list[Path]:
        """Put all photos of a submission in their place; on return they are on disk there.

        Raises: RefusedError where the disk is full; RunError.
        """
        day = self.folder / datetime.now(UTC).strftime("%Y-%m-%d")
        target = day / reception.folder.name
        try:
            sync_folder(reception.folder)
            is_new_day = not day.exists()
            day.mkdir(parents=True, exist_ok=True)
            reception.folder.rename(target)
            for folder in (day, self.folder) if is_new_day else (day,):
                sync_folder(folder)
        except OSError as error:
            raise _disk_refusal(target, error) from error
        reception.folder = target
        return [target / photo.path.name for photo in reception.photos]

    def sweep(self) -> int:
        """Remove submissions that processes left half received long ago. Returns their number."""
        count = 0
        with suppress(OSError):
            for folder in self._incoming.iterdir():
                with suppress(OSError):
                    if time.time() - folder.stat().st_mtime > STALE_SECONDS:
                        shutil.rmtree(folder, ignore_errors=True)
                        count += 1
        return count

    def free_bytes(self) -> int:
        """Bytes that are free on the disk of the photos."""
        folder = self.folder if self.folder.exists() else self.folder.parent
        return shutil.disk_usage(folder).free


def _disk_refusal(path: Path, error: OSError) -> RefusedError | RunError:
    if error.errno in DISK_FULL:
        problem = "the disk of the service is full; nothing was accepted"
        return RefusedError(429, "disk_full", problem, RETRY_SECONDS)
    return write_error(path, error)
