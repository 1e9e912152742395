"""Whether a HEIC is whole: its boxes, the places of its items, and the data of every tile.

The decoder draws what it has and leaves the rest green or black without a word, so a file that was
cut short, or whose end was never written, is found here, before it is decoded.
Sources: ISO/IEC 14496-12 (boxes), 23008-12 (items), 14496-15 and 23008-2 annex B (HEVC's units).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

DEPTH = 64
"""More references than so many from one item to the next are a circle."""
_TOP = frozenset(
    (
        *(b"ftyp", b"meta", b"mdat", b"moov", b"moof", b"free", b"skip", b"wide", b"idat"),
        *(b"uuid", b"udta", b"mpvd", b"sefd", b"pdin", b"mfra", b"sidx", b"styp"),
    )
)
"""Boxes that stand in a file itself; other bytes behind the photo are none of it."""
_MADE_OF_OTHERS = frozenset({b"grid", b"iovl", b"iden"})
_FORBIDDEN = re.compile(rb"\0\0[\0\1\2]")
"""Such bytes never stand inside a unit of HEVC: what writes it puts a 3 between."""


class TruncatedError(ValueError):
    """The file holds less than it says; its text says what is missing."""


class MediaBox(NamedTuple):
    """A box of the file: its type and where its content lies."""

    kind: bytes
    start: int
    end: int


@dataclass(slots=True)
class Items:
    """What the `meta` box says of the items: where each lies, of what type, made of which."""

    primary: int = 0
    kinds: dict[int, bytes] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Places in the file: offset and length in bytes."""
    parts: dict[int, list[int]] = field(default_factory=dict)
    length_bytes: int = 4
    """How many bytes tell the length of a unit."""


def check_heic(data: bytes) -> str:
    """Check that a HEIC is whole; give what is damaged inside, nothing where all is well.

    Raises: TruncatedError.
    """
    try:
        items = _items(data)
        return _check_tiles(data, items)
    except (struct.error, IndexError) as error:
        raise TruncatedError("a box ends before its content does") from error


def _items(data: bytes) -> Items:
    """Read the boxes of a file, and check that all their content is there."""
    meta: MediaBox | None = None
    for box in _boxes(data, 0, len(data), top=True):
        if box.kind == b"meta" and meta is None:
            meta = box
    if meta is None:
        raise TruncatedError("it ends before the box that tells what is in it")
    items = Items()
    inner = {box.kind: box for box in _boxes(data, meta.start + 4, meta.end)}
    if b"pitm" in inner:
        at = inner[b"pitm"].start
        items.primary = _number(data, at + 4, 4 if data[at] else 2)
    if b"iinf" in inner:
        _read_kinds(data, inner[b"iinf"], items)
    if b"iref" in inner:
        _read_parts(data, inner[b"iref"], items)
    if b"iloc" in inner:
        _read_extents(data, inner[b"iloc"], inner.get(b"idat"), items)
    if b"iprp" in inner:
        _read_length_bytes(data, inner[b"iprp"], items)
    return items


def _boxes(data: bytes, at: int, end: int, *, top: bool = False) -> Iterator[MediaBox]:
    """Go through boxes.

    Raises: TruncatedError where one says that it is longer than what is there.
    """
    while at + 8 <= end:
        size, kind, header = _number(data, at, 4), data[at + 4 : at + 8], 8
        if top and kind not in _TOP:
            return  # not of the photo: what a phone or a copy left behind it
        if size == 1:
            size, header = _number(data, at + 8, 8), 16
        elif size == 0:
            size = end - at
        if size < header or at + size > end:
            name = kind.decode("latin-1")
            raise TruncatedError(f"its box {name!r} has {size} bytes, {end - at} are there")
        yield MediaBox(kind, at + header, at + size)
        at += size


def _number(data: bytes, at: int, size: int) -> int:
    if at + size > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + size], "big")


def _read_kinds(data: bytes, box: MediaBox, items: Items) -> None:
    at = box.start + (8 if data[box.start] else 6)
    for entry in _boxes(data, at, box.end):
        if entry.kind == b"infe" and data[entry.start] >= 2:
            wide = 4 if data[entry.start] >= 3 else 2
            number = _number(data, entry.start + 4, wide)
            kind = entry.start + 4 + wide + 2
            items.kinds[number] = data[kind : kind + 4]


def _read_parts(data: bytes, box: MediaBox, items: Items) -> None:
    wide = 4 if data[box.start] else 2
    for entry in _boxes(data, box.start + 4, box.end):
        if entry.kind != b"dimg":
            continue
        number, count = _number(data, entry.start, wide), _number(data, entry.start + wide, 2)
        first = entry.start + wide + 2
        items.parts[number] = [_number(data, first + i * wide, wide) for i in range(count)]


def _read_extents(data: bytes, box: MediaBox, idat: MediaBox | None, items: Items) -> None:
    """Read where items lie.

    Raises: TruncatedError where one lies beyond the end of the file.
    """
    version, sizes = data[box.start], _number(data, box.start + 4, 2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    wide = 4 if version == 2 else 2
    at = box.start + 6
    count, at = _number(data, at, wide), at + wide
    for _ in range(count):
        number, at = _number(data, at, wide), at + wide
        method = 0
        if version:
            method, at = _number(data, at, 2) & 15, at + 2
        reference, at = _number(data, at, 2), at + 2
        base, at = _number(data, at, base_size), at + base_size
        extents, at = _number(data, at, 2), at + 2
        for _ in range(extents):
            at += index_size
            offset, at = base + _number(data, at, offset_size), at + offset_size
            length, at = _number(data, at, length_size), at + length_size
            if reference == 0 and method < 2:
                where = idat if method else MediaBox(b"file", 0, len(data))
                items.extents.setdefault(number, []).append(_place(where, offset, length, number))


def _place(where: MediaBox | None, offset: int, length: int, number: int) -> tuple[int, int]:
    if where is None or where.start + offset + length > where.end:
        raise TruncatedError(f"item {number} lies beyond its end")
    start = where.start + offset
    return start, length or where.end - start


def _read_length_bytes(data: bytes, box: MediaBox, items: Items) -> None:
    for container in _boxes(data, box.start, box.end):
        if container.kind == b"ipco":
            for entry in _boxes(data, container.start, container.end):
                if entry.kind == b"hvcC":
                    items.length_bytes = (data[entry.start + 21] & 3) + 1


def _check_tiles(data: bytes, items: Items) -> str:
    """Check that the photo, or each tile that it is made of, is all there.

    Raises: TruncatedError.
    """
    damage = ""
    tiles = list(_tiles(items, items.primary))
    for place, number in enumerate(tiles, 1):
        name = f"tile {place} of {len(tiles)}" if len(tiles) > 1 else "its picture"
        kind, extents = items.kinds.get(number), items.extents.get(number)
        if not kind or not extents or kind in _MADE_OF_OTHERS:
            raise TruncatedError(f"{name} is not there")
        if kind != b"hvc1":  # the decoder's own affair
            continue
        content = b"".join(data[start : start + length] for start, length in extents)
        damage = damage or _check_units(content, items.length_bytes, name)
    return damage


def _tiles(items: Items, number: int, depth: int = 0) -> Iterator[int]:
    """Yield what a picture is made of in the end; a picture that is made of none is its own."""
    parts = items.parts.get(number)
    if not parts or depth > DEPTH:
        yield number
        return
    for part in parts:
        yield from _tiles(items, part, depth + 1)


def _check_units(content: bytes, length_bytes: int, name: str) -> str:
    """Check that the units of a coded picture fill its place, and hold what they may.

    Raises: TruncatedError where a unit ends otherwise than it says, or in zeros.
    """
    at, damage = 0, ""
    while at < len(content):
        length = int.from_bytes(content[at : at + length_bytes], "big")
        start, end = at + length_bytes, at + length_bytes + length
        if length < 3 or end > len(content) or content[start] & 0x80:
            raise TruncatedError(f"{name} is not all there")
        if content[end - 1] == 0:  # a unit's last byte never is
            raise TruncatedError(f"{name} ends in zeros")
        if not damage and (found := _FORBIDDEN.search(content, start, end)):
            damage = f"{name} holds bytes that a picture cannot, at {found.start()} of its own"
        at = end
    return damage
