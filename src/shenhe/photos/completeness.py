"""Completeness of PNG, WebP and TIFF files, which their decoders do not check."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from functools import partial
from typing import BinaryIO, Final, Literal

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from shenhe.photos.heic import TruncatedError

PNG_START: Final = 8
MAX_DIRECTORIES: Final = 10_000
_NEW_SUBFILE, _SUBFILE = 254, 255
"""TIFF tags that say what kind of picture a page is."""
_COPY_OR_MASK, _SMALLER = 0b101, 2
COMPRESSION: Final = 259
"""The TIFF tag of the compression scheme."""
MAX_TAGS: Final = 4096
SECTOR_BYTES: Final = 512
"""Zeros at the end of a WebP that mark it as unwritten: one disk sector."""
_REQUIRED_TAGS: Final = frozenset({258, 273, 279, 320, 324, 325, 347})
"""TIFF tags that decoding a picture requires."""
_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 13: 4, 16: 8}
"""Bytes of a value by its TIFF type."""
_STRIPS: Final = ((273, 279), (324, 325))
"""TIFF tags of the offsets and byte counts of strips, and of tiles."""


def check_whole(kind: str, data: bytes, image: Image.Image) -> str:
    """Check that a photo is complete. Returns the damage inside, or an empty text.

    Raises: TruncatedError.
    """
    if kind == "PNG":
        return _check_png(data)
    if kind == "WEBP":
        _check_webp(data)
    if isinstance(image, TiffImageFile):
        _check_tiff(data, image.tag_v2)
    return ""


def _check_png(data: bytes) -> str:
    """Walk the chunks up to IEND and compare the checksums of the pixel data."""
    offset, damage = PNG_START, ""
    view = memoryview(data)
    while offset + 12 <= len(data):
        length = int.from_bytes(view[offset : offset + 4], "big")
        kind = bytes(view[offset + 4 : offset + 8])
        end = offset + 12 + length
        if end > len(data):
            raise TruncatedError(f"its chunk {kind.decode('latin-1')!r} is not all there")
        checksum = int.from_bytes(view[end - 4 : end], "big")
        if kind == b"IDAT" and not damage and zlib.crc32(view[offset + 4 : end - 4]) != checksum:
            damage = "a checksum of the picture is wrong"
        if kind == b"IEND":
            return damage
        offset = end
    raise TruncatedError("it has no end: a part of it is lost")


def _check_webp(data: bytes) -> None:
    end = int.from_bytes(data[4:8], "little") + 8
    if end > len(data):
        raise TruncatedError(f"it says that it has {end} bytes, {len(data)} are there")
    if not data[max(0, end - SECTOR_BYTES) : end].strip(b"\0"):
        raise TruncatedError("it ends in zeros: a part of it was never written")


def _check_tiff(data: bytes, tags: Mapping[int, tuple[int, ...]]) -> None:
    for offsets, lengths in _STRIPS:
        for offset, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False):
            if offset + length > len(data):
                raise TruncatedError("a strip of it lies beyond its end")


def check_tiff_directory(file: BinaryIO) -> int:
    """Check that the tags that a decoder requires are complete. Returns the compression.

    Raises: TruncatedError.
    """
    length = file.seek(0, io.SEEK_END)
    head = _read(file, 0, 16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    number = partial(int.from_bytes, byteorder=order)
    is_big_tiff = number(head[2:4]) == 43
    directory, count_size, value_size, entry_size = (
        (number(head[8:16]), 8, 8, 20) if is_big_tiff else (number(head[4:8]), 2, 4, 12)
    )
    count = number(_read(file, directory, count_size))
    size = min(count, MAX_TAGS) * entry_size + value_size
    entries = _read(file, directory + count_size, size)
    compression = 1
    for start in range(0, len(entries) - value_size, entry_size):
        tag, kind = number(entries[start : start + 2]), number(entries[start + 2 : start + 4])
        values = entries[start + 4 : start + 4 + value_size]
        value = entries[start + 4 + value_size :][:value_size]
        size = number(values) * _TYPE_BYTES.get(kind, 1)
        if tag in _REQUIRED_TAGS and size > value_size and number(value) + size > length:
            raise TruncatedError(f"tag {tag} lies beyond its end")
        if tag == COMPRESSION:
            compression = number(value[:2])
    return compression


def count_pages(data: bytes) -> int:
    """Count the pictures of a TIFF; smaller copies and masks of one are none.

    Directories that lie beyond the end, or come again, end it.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(data[start : start + size], order)

    is_big = number(2, 2) == 43
    offset_size, count_size, entry_size = (8, 8, 20) if is_big else (4, 2, 12)
    directory = number(8, 8) if is_big else number(4, 4)
    pages, seen = 0, set[int]()
    while 0 < directory < len(data) and directory not in seen and len(seen) < MAX_DIRECTORIES:
        seen.add(directory)
        first = directory + count_size
        end = first + min(number(directory, count_size), MAX_TAGS) * entry_size
        kinds = {
            number(start, 2): number(
                start + entry_size - offset_size, _TYPE_BYTES.get(number(start + 2, 2), 4)
            )
            for start in range(first, end, entry_size)
            if number(start, 2) in (_NEW_SUBFILE, _SUBFILE)
        }
        is_copy = kinds.get(_NEW_SUBFILE, 0) & _COPY_OR_MASK or kinds.get(_SUBFILE) == _SMALLER
        pages += not is_copy
        directory = number(end, offset_size)
    return pages


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    if len(data) < size:
        raise TruncatedError("it ends before the directory of its picture does")
    return data
