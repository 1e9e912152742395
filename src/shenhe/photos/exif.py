"""What EXIF says of a photo: when, where and with what it was taken.

EXIF is foreign data: nothing in it raises. Only the entries that are read are looked at, each
within a length, so that a block with huge or overlapping entries takes no memory.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

PREFIX: Final = b"Exif\0\0"
MAX_ENTRIES: Final = 1024
"""Entries of a directory that are looked at; cameras write fewer than 100."""
MAX_VALUE: Final = 256
"""Bytes of a value that are read."""
MAX_NAME: Final = 64
"""Characters of a camera's name that are kept."""
FIRST_YEAR: Final = 1990
"""Before it there were no digital photos: such a time is a clock that was never set."""
DECIMALS: Final = 6
"""Decimals of a degree that are kept: a tenth of a metre."""
_MAKE, _MODEL, _EXIF, _GPS = 0x010F, 0x0110, 0x8769, 0x8825
_TAKEN, _DIGITIZED = 0x9003, 0x9004
_OFFSETS: Final = {_TAKEN: 0x9011, _DIGITIZED: 0x9012}
_FRACTIONS: Final = {_TAKEN: 0x9291, _DIGITIZED: 0x9292}
_ASCII, _SHORT, _LONG, _RATIONAL, _SIGNED = 2, 3, 4, 5, 10
_TYPE_BYTES: Final = {1: 1, _ASCII: 1, _SHORT: 2, _LONG: 4, _RATIONAL: 8, 7: 1, _SIGNED: 8, 13: 4}
_TIME: Final = re.compile(r"(\d{4})[:\-/.](\d\d)[:\-/.](\d\d)[ T](\d\d):(\d\d):(\d\d)")
_OFFSET: Final = re.compile(r"Z|[+-](?:0\d|1[0-4]):[0-5]\d")


@dataclass(frozen=True, slots=True)
class Exif:
    """What is known of how a photo was taken; None for what EXIF does not say, or says badly.

    `captured_at` is in the form of ISO 8601, with its offset where there is one. Units: `gps` is
    latitude and longitude in degrees, north and east positive.
    """

    captured_at: str | None = None
    gps: tuple[float, float] | None = None
    camera: str | None = None


def read_exif(block: bytes) -> Exif:
    r"""Read an EXIF block, or a TIFF file, which has the same form.

    >>> read_exif(b"Exif\0\0 no EXIF at all")
    Exif(captured_at=None, gps=None, camera=None)
    """
    while block.startswith(PREFIX):
        block = block[len(PREFIX) :]
    order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    tiff = _Tiff(block, order)
    if block[:2] not in (b"II", b"MM") or tiff.number(2, 2) != 42:
        return Exif()
    first = tiff.directory(tiff.number(4, 4))
    taken = tiff.directory(tiff.offset(first, _EXIF))
    times = (_read_time(tiff, taken, tag) for tag in (_TAKEN, _DIGITIZED))
    return Exif(
        next((time for time in times if time), None),
        _read_position(tiff, tiff.directory(tiff.offset(first, _GPS))),
        _name_camera(tiff.text(first, _MAKE), tiff.text(first, _MODEL)),
    )


_Directory = dict[int, tuple[int, int, int]]
"""Type, count and offset of the value of each entry, by tag."""


@dataclass(frozen=True, slots=True)
class _Tiff:
    """A block in the form of TIFF. What lies beyond its end reads as 0, or as nothing."""

    block: bytes
    order: Literal["little", "big"]

    def number(self, offset: int, size: int) -> int:
        return int.from_bytes(self.block[offset : offset + size], self.order)

    def directory(self, offset: int) -> _Directory:
        """List the entries of a directory; none at offset 0, where no directory can be."""
        entries: _Directory = {}
        if not 8 <= offset < len(self.block):
            return entries
        for index in range(min(self.number(offset, 2), MAX_ENTRIES)):
            start = offset + 2 + 12 * index
            if start + 12 > len(self.block):
                break
            kind, count = self.number(start + 2, 2), self.number(start + 4, 4)
            size = _TYPE_BYTES.get(kind, 0) * count
            value = start + 8 if size <= 4 else self.number(start + 8, 4)
            entries.setdefault(self.number(start, 2), (kind, count, value))
        return entries

    def offset(self, entries: _Directory, tag: int) -> int:
        kind, _, value = entries.get(tag, (0, 0, 0))
        return self.number(value, 4) if kind in (_LONG, 13) else 0

    def text(self, entries: _Directory, tag: int) -> str:
        kind, count, offset = entries.get(tag, (0, 0, 0))
        if kind not in (_ASCII, 7):
            return ""
        value = self.block[offset : offset + min(count, MAX_VALUE)].partition(b"\0")[0]
        text = value.decode("utf-8", "replace")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())

    def rationals(self, entries: _Directory, tag: int) -> list[float]:
        """Read fractions; one by zero is not a number."""
        kind, count, offset = entries.get(tag, (0, 0, 0))
        if kind not in (_RATIONAL, _SIGNED):
            return []
        values = []
        for index in range(min(count, MAX_VALUE // 8)):
            start = offset + 8 * index
            parts = [
                int.from_bytes(self.block[at : at + 4], self.order, signed=kind == _SIGNED)
                for at in (start, start + 4)
            ]
            whole = start + 8 <= len(self.block) and parts[1] != 0
            values.append(parts[0] / parts[1] if whole else math.nan)
        return values


def _read_time(tiff: _Tiff, entries: _Directory, tag: int) -> str | None:
    match = _TIME.match(tiff.text(entries, tag))
    if not match:
        return None
    try:
        time = datetime(*map(int, match.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None
    if time.year < FIRST_YEAR:
        return None
    fraction = re.match(r"\d{1,6}", tiff.text(entries, _FRACTIONS[tag]))
    offset = tiff.text(entries, _OFFSETS[tag])
    text = time.isoformat() + (f".{fraction[0]}" if fraction else "")
    return text + ({"Z": "+00:00"}.get(offset, offset) if _OFFSET.fullmatch(offset) else "")


def _read_position(tiff: _Tiff, entries: _Directory) -> tuple[float, float] | None:
    """Read latitude and longitude; 0, 0 is what a phone writes that knows of no position."""
    latitude = _read_angle(tiff, entries, 1, {"N": 1, "S": -1}, 90)
    longitude = _read_angle(tiff, entries, 3, {"E": 1, "W": -1}, 180)
    if latitude is None or longitude is None or latitude == longitude == 0:
        return None
    return latitude, longitude


def _read_angle(
    tiff: _Tiff, entries: _Directory, tag: int, signs: dict[str, int], most: int
) -> float | None:
    """Read an angle, whose direction stands in the tag and whose value in the next one."""
    sign = signs.get(tiff.text(entries, tag).upper())
    parts = tiff.rationals(entries, tag + 1)
    if sign is None or not 1 <= len(parts) <= 3:
        return None
    degrees = sum(part / 60**index for index, part in enumerate(parts))
    # Not `degrees > most`: what is not a number is no angle either.
    inside = 0 <= degrees <= most and all(part >= 0 for part in parts)
    return round(sign * degrees, DECIMALS) + 0.0 if inside else None


def _name_camera(make: str, model: str) -> str | None:
    """Join make and model; many models begin with the make."""
    name = model if model.casefold().startswith(make.casefold()) else f"{make} {model}"
    return name.strip()[:MAX_NAME].strip() or None
