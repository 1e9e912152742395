"""Completeness of a HEIC file: its boxes, the extents of its items, and the data of every tile.

The decoder draws the data that is present and leaves the remainder green or black without an error,
so truncated files and files with an unwritten end are detected here, before decoding.
Sources: ISO/IEC 14496-12 (boxes), 23008-12 (items), 14496-15 and 23008-2 annex B (HEVC NAL units).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_DEPTH = 64
"""Longest chain of item references; a longer one is treated as a cycle."""
_TOP_LEVEL = frozenset(
    (
        *(b"ftyp", b"meta", b"mdat", b"moov", b"moof", b"free", b"skip", b"wide", b"idat"),
        *(b"uuid", b"udta", b"mpvd", b"sefd", b"pdin", b"mfra", b"sidx", b"styp"),
    )
)
"""Types of top-level boxes; bytes of another type end the photo's own data."""
_DERIVED = frozenset({b"grid", b"iovl", b"iden"})
"""Types of items that are composed of other items."""
_FORBIDDEN = re.compile(rb"\0\0[\0\1\2]")
"""Byte sequences that no HEVC NAL unit contains: encoders insert an emulation prevention byte 3."""


class TruncatedError(ValueError):
    """The file is shorter than it declares; the text names the missing part."""


class MediaBox(NamedTuple):
    """An ISO media box. Units: `start` and `end` of its content, in bytes from the file's start."""

    kind: bytes
    start: int
    end: int


class Extent(NamedTuple):
    """A range of the file. Units: bytes."""

    offset: int
    length: int


@dataclass(slots=True)
class Items:
    """Items of the `meta` box by item id: type, extents, and the items they are composed of."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[Extent]] = field(default_factory=dict)
    parts: dict[int, list[int]] = field(default_factory=dict)
    length_bytes: int = 4
    """Size of the length field before each NAL unit. Units: bytes."""


@dataclass(slots=True)
class _Cursor:
    """Reads big-endian integers one after the other."""

    data: bytes
    offset: int

    def read(self, size: int) -> int:
        """Read an integer of `size` bytes.

        Raises: IndexError past the end of the data.
        """
        number = _number(self.data, self.offset, size)
        self.offset += size
        return number


def check_heic(data: bytes) -> str:
    """Check that a HEIC is complete. Returns the damage inside, or an empty text.

    Raises: TruncatedError.
    """
    try:
        items = _items(data)
        return _check_tiles(data, items)
    except (struct.error, IndexError) as error:
        raise TruncatedError("a box ends before its content does") from error


def _items(data: bytes) -> Items:
    """Read the items of a file.

    Raises: TruncatedError.
    """
    meta: MediaBox | None = None
    for box in _boxes(data, 0, len(data), top=True):
        if box.kind == b"meta" and meta is None:
            meta = box
    if meta is None:
        raise TruncatedError("it ends before the box that tells what is in it")
    items = Items()
    inner = {box.kind: box for box in _boxes(data, meta.start + 4, meta.end)}
    if b"pitm" in inner:
        start = inner[b"pitm"].start
        items.primary = _number(data, start + 4, 4 if data[start] else 2)
    if b"iinf" in inner:
        _read_kinds(data, inner[b"iinf"], items)
    if b"iref" in inner:
        _read_parts(data, inner[b"iref"], items)
    if b"iloc" in inner:
        _read_extents(data, inner[b"iloc"], inner.get(b"idat"), items)
    if b"iprp" in inner:
        _read_length_bytes(data, inner[b"iprp"], items)
    return items


def _boxes(data: bytes, start: int, end: int, *, top: bool = False) -> Iterator[MediaBox]:
    """Yield the boxes between two offsets.

    Raises: TruncatedError for a box that is longer than the data.
    """
    while start + 8 <= end:
        size, kind, header = _number(data, start, 4), data[start + 4 : start + 8], 8
        if top and kind not in _TOP_LEVEL:
            return  # appended by a phone or a copy, not part of the photo
        if size == 1:
            size, header = _number(data, start + 8, 8), 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            name = kind.decode("latin-1")
            raise TruncatedError(f"its box {name!r} has {size} bytes, {end - start} are there")
        yield MediaBox(kind, start + header, start + size)
        start += size


def _number(data: bytes, offset: int, size: int) -> int:
    if offset + size > len(data):
        raise IndexError(offset)
    return int.from_bytes(data[offset : offset + size], "big")


def _read_kinds(data: bytes, box: MediaBox, items: Items) -> None:
    start = box.start + (8 if data[box.start] else 6)
    for entry in _boxes(data, start, box.end):
        if entry.kind == b"infe" and data[entry.start] >= 2:
            id_size = 4 if data[entry.start] >= 3 else 2
            item = _number(data, entry.start + 4, id_size)
            kind = entry.start + 4 + id_size + 2
            items.kinds[item] = data[kind : kind + 4]


def _read_parts(data: bytes, box: MediaBox, items: Items) -> None:
    id_size = 4 if data[box.start] else 2
    for entry in _boxes(data, box.start + 4, box.end):
        if entry.kind != b"dimg":
            continue
        cursor = _Cursor(data, entry.start)
        item, count = cursor.read(id_size), cursor.read(2)
        items.parts[item] = [cursor.read(id_size) for _ in range(count)]


def _read_extents(data: bytes, box: MediaBox, idat: MediaBox | None, items: Items) -> None:
    """Read the extents of all items.

    Raises: TruncatedError for one beyond the end of the file.
    """
    version, sizes = data[box.start], _number(data, box.start + 4, 2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    id_size = 4 if version == 2 else 2
    cursor = _Cursor(data, box.start + 6)
    for _ in range(cursor.read(id_size)):
        item = cursor.read(id_size)
        method = cursor.read(2) & 15 if version else 0
        reference, base = cursor.read(2), cursor.read(base_size)
        for _ in range(cursor.read(2)):
            cursor.read(index_size)
            offset, length = base + cursor.read(offset_size), cursor.read(length_size)
            if reference == 0 and method < 2:
                container = idat if method else MediaBox(b"file", 0, len(data))
                items.extents.setdefault(item, []).append(_extent(container, offset, length, item))


def _extent(container: MediaBox | None, offset: int, length: int, item: int) -> Extent:
    if container is None or container.start + offset + length > container.end:
        raise TruncatedError(f"item {item} lies beyond its end")
    start = container.start + offset
    return Extent(start, length or container.end - start)


def _read_length_bytes(data: bytes, box: MediaBox, items: Items) -> None:
    for container in _boxes(data, box.start, box.end):
        if container.kind == b"ipco":
            for entry in _boxes(data, container.start, container.end):
                if entry.kind == b"hvcC":
                    items.length_bytes = (data[entry.start + 21] & 3) + 1


def _check_tiles(data: bytes, items: Items) -> str:
    """Check that the photo, or each of its tiles, is complete. Returns the damage inside.

    Raises: TruncatedError.
    """
    damage = ""
    tiles = list(_tiles(items, items.primary))
    for number, item in enumerate(tiles, 1):
        name = f"tile {number} of {len(tiles)}" if len(tiles) > 1 else "its picture"
        kind, extents = items.kinds.get(item), items.extents.get(item)
        if not kind or not extents or kind in _DERIVED:
            raise TruncatedError(f"{name} is not there")
        if kind != b"hvc1":  # another codec, left to the decoder
            continue
        content = b"".join(data[start : start + length] for start, length in extents)
        damage = damage or _check_units(content, items.length_bytes, name)
    return damage


def _tiles(items: Items, item: int, depth: int = 0) -> Iterator[int]:
    """Yield the coded items that a picture is composed of: itself if it has no parts."""
    parts = items.parts.get(item)
    if not parts or depth > MAX_DEPTH:
        yield item
        return
    for part in parts:
        yield from _tiles(items, part, depth + 1)


def _check_units(content: bytes, length_bytes: int, name: str) -> str:
    """Check that NAL units fill a coded picture exactly. Returns the damage inside.

    Raises: TruncatedError for a unit of a wrong length, or one that ends in zeros.
    """
    offset, damage = 0, ""
    while offset < len(content):
        length = int.from_bytes(content[offset : offset + length_bytes], "big")
        start, end = offset + length_bytes, offset + length_bytes + length
        if length < 3 or end > len(content) or content[start] & 0x80:
            raise TruncatedError(f"{name} is not all there")
        if content[end - 1] == 0:  # the last byte of a unit is never 0
            raise TruncatedError(f"{name} ends in zeros")
        if not damage and (match := _FORBIDDEN.search(content, start, end)):
            damage = f"{name} holds bytes that a picture cannot, at {match.start()} of its own"
        offset = end
    return damage
