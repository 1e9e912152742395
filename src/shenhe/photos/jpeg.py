"""JPEGs: decoded strictly first, which tells of damage inside that Pillow passes over.

libjpeg goes on where data makes no sense, with a warning, and what it draws from there is grey,
shifted or of another colour. Pillow drops those warnings; simplejpeg raises them. A JPEG without
any is taken as it decodes it, which are the very pixels that Pillow gives; so looking for damage
costs no second decoding of what is whole.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import simplejpeg
from PIL import Image

from shenhe.geometry import Size
from shenhe.photos.heic import TruncatedError

COLOURS: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
"""What simplejpeg calls Pillow's modes."""
BITS: Final = frozenset(range(2, 17)) - {8}
"""Bits a colour that a JPEG may have, and that no decoder here reads."""
_DAMAGE: Final = re.compile(
    "corrupt jpeg data|premature end|bogus|inconsistent|invalid|unsupported marker|marker", re.I
)
"""What libjpeg says of data that make no sense; all else that it says is of what it cannot do."""
_UNSUPPORTED: Final = {
    0xC3: "lossless",
    0xC5: "hierarchical",
    0xC6: "hierarchical",
    0xC7: "lossless",
    0xCB: "lossless",
    0xCD: "hierarchical",
    0xCE: "hierarchical",
    0xCF: "lossless",
}
_ARITHMETIC: Final = frozenset({0xC9, 0xCA})
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""All but stuffed bytes, restarts and filling."""
_END: Final = b"\xff\xd9"


class Decoded(NamedTuple):
    """A decoded JPEG, None where Pillow has to decode it, and what was found damaged in it."""

    image: Image.Image | None
    damage: str


def decode(data: bytes, mode: str, stored: Size, wanted: Size) -> Decoded:
    """Decode a JPEG of Pillow's `mode`, at a part of its `stored` size.

    Raises: TruncatedError where it ends before its end.
    """
    smaller: dict[str, Any] = {}
    if wanted != stored:
        smaller = {"min_width": wanted.width, "min_height": wanted.height, "min_factor": 1}
    try:
        pixels = _strictly(data, COLOURS.get(mode, "RGB"), smaller)
    except ValueError as error:
        return Decoded(None, _damage(data, str(error)))
    if mode not in ("RGB", "L") or (pixels.shape[1], pixels.shape[0]) != wanted:
        return Decoded(None, "")
    return Decoded(Image.fromarray(pixels[..., 0] if mode == "L" else pixels), "")


def _strictly(data: bytes, colours: str, smaller: dict[str, Any]) -> Any:
    """Decode without a warning; bytes between the parts of the header, which cameras leave, pass.

    Raises: ValueError with the decoder's first word of warning.
    """
    try:
        return simplejpeg.decode_jpeg(data, colours, strict=True, **smaller)
    except ValueError as error:
        if "extraneous bytes before marker" not in str(error):
            raise
        return simplejpeg.decode_jpeg(_without_gaps(data), colours, strict=True, **smaller)


def unsupported(data: bytes) -> str:
    """Say which kind of JPEG this is, where it is one that no decoder here reads."""
    header = _header(data)
    if header.frame in _UNSUPPORTED:
        return f"a {_UNSUPPORTED[header.frame]} JPEG"
    if header.precision in BITS:
        return f"a JPEG of {header.precision} bits a colour"
    return ""


def is_arithmetic(data: bytes) -> bool:
    """Whether a JPEG is coded in a way that few decoders read."""
    return _header(data).frame in _ARITHMETIC


def _damage(data: bytes, said: str) -> str:
    """Give what the decoder says of damage.

    Raises: TruncatedError where the file ends before the photo does.
    """
    if not _DAMAGE.search(said):
        return ""
    # A small photo inside the header has an end of its own: looked for is the one behind that.
    if data.find(_END, _header(data).scan_at) < 0:
        raise TruncatedError("it has no end: a part of it is lost")
    return said


class _Header(NamedTuple):
    """What stands before the first scan.

    `frame` is the marker that begins the frame, `precision` its bits a colour; `parts` are where
    the markers with their contents begin and end, but for the last, where the scan begins.
    """

    frame: int
    precision: int
    scan_at: int
    parts: list[tuple[int, int]]


def _header(data: bytes) -> _Header:
    at, frame, precision = 2, 0, 0
    parts: list[tuple[int, int]] = []
    while found := _MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker in (0xD9, 0xDA):
            return _Header(frame, precision, found.start(), parts)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, precision = marker, data[at + 2] if at + 2 < len(data) else 0
        if marker != 0x01:  # has no content
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
        parts.append((found.start(), at))
    return _Header(frame, precision, at, parts)


def _without_gaps(data: bytes) -> bytes:
    """Leave out what stands between the parts of the header."""
    header = _header(data)
    parts = (data[start:end] for start, end in header.parts)
    return b"".join((data[:2], *parts, data[header.scan_at :]))
