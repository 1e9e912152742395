"""Whether a PNG, a WebP or a TIFF is all there: what their decoders do not look at."""

from __future__ import annotations

import io
import zlib
from functools import partial
from typing import Any, BinaryIO, Final, Literal

from PIL import Image

from shenhe.photos.heic import TruncatedError

PNG_START: Final = 8
COMPRESSION: Final = 259
"""The tag of a TIFF that says how it is compressed."""
MAX_TAGS: Final = 4096
ZEROS: Final = 512
"""A WebP that ends in so many zeros, a sector of a disk, was not written to its end."""
_NEEDED: Final = frozenset({258, 273, 279, 320, 324, 325, 347})
"""Tags of a TIFF without which its picture cannot be read."""
_TYPE_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 13: 4, 16: 8}
"""Bytes of a value, by its type in a TIFF."""
_STRIPS: Final = ((273, 279), (324, 325))
"""Tags of a TIFF: where its strips or tiles lie, and how long they are."""


def check_whole(kind: str, data: bytes, image: Image.Image) -> str:
    """Check that a photo of a kind is all there; give what is damaged inside.

    Raises: TruncatedError.
    """
    if kind == "PNG":
        return _check_png(data)
    if kind == "WEBP":
        _check_webp(data)
    if kind == "TIFF":
        _check_tiff(data, image)
    return ""


def _check_png(data: bytes) -> str:
    """Go through the chunks up to the one that ends a PNG, and compare their checksums."""
    at, damage = PNG_START, ""
    view = memoryview(data)
    while at + 12 <= len(data):
        length, kind = int.from_bytes(view[at : at + 4], "big"), bytes(view[at + 4 : at + 8])
        end = at + 12 + length
        if end > len(data):
            raise TruncatedError(f"its chunk {kind.decode('latin-1')!r} is not all there")
        wanted = int.from_bytes(view[end - 4 : end], "big")
        if kind == b"IDAT" and not damage and zlib.crc32(view[at + 4 : end - 4]) != wanted:
            damage = "a checksum of the picture is wrong"
        if kind == b"IEND":
            return damage
        at = end
    raise TruncatedError("it has no end: a part of it is lost")


def _check_webp(data: bytes) -> None:
    end = int.from_bytes(data[4:8], "little") + 8
    if end > len(data):
        raise TruncatedError(f"it says that it has {end} bytes, {len(data)} are there")
    if not data[max(0, end - ZEROS) : end].strip(b"\0"):
        raise TruncatedError("it ends in zeros: a part of it was never written")


def _check_tiff(data: bytes, image: Any) -> None:
    for offsets, lengths in _STRIPS:
        places = zip(image.tag_v2.get(offsets, ()), image.tag_v2.get(lengths, ()), strict=False)
        for offset, length in places:
            if offset + length > len(data):
                raise TruncatedError("a strip of it lies beyond its end")


def check_tiff_directory(file: BinaryIO) -> int:
    """Check that what tells a decoder of a TIFF's picture is all there; give its compression.

    Raises: TruncatedError.
    """
    length = file.seek(0, io.SEEK_END)
    head = _read(file, 0, 16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    number = partial(int.from_bytes, byteorder=order)
    big = number(head[2:4]) == 43
    at, counted, wide, entry = (
        (number(head[8:16]), 8, 8, 20) if big else (number(head[4:8]), 2, 4, 12)
    )
    count = number(_read(file, at, counted))
    entries = _read(file, at + counted, min(count, MAX_TAGS) * entry + wide)
    compression = 1
    for start in range(0, len(entries) - wide, entry):
        tag, kind = number(entries[start : start + 2]), number(entries[start + 2 : start + 4])
        values, place = entries[start + 4 : start + 4 + wide], entries[start + 4 + wide :][:wide]
        size = number(values) * _TYPE_BYTES.get(kind, 1)
        if tag in _NEEDED and size > wide and number(place) + size > length:
            raise TruncatedError(f"tag {tag} lies beyond its end")
        if tag == COMPRESSION:
            compression = number(place[:2])
    return compression


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise TruncatedError("it ends before the directory of its picture does")
    return data
