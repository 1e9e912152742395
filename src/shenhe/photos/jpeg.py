"""JPEG decoding that reports damage inside the data, which Pillow ignores.

On inconsistent data libjpeg issues a warning and continues, and the pixels from there on are grey,
shifted or of another colour. Pillow drops those warnings; simplejpeg raises them. A JPEG without a
warning is used as simplejpeg decodes it, with pixels equal to Pillow's, so an intact photo is
decoded once.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final, NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from shenhe.geometry import Size
from shenhe.photos.heic import TruncatedError

COLOURS: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
"""simplejpeg's names of Pillow's modes."""
UNSUPPORTED_BITS: Final = frozenset(range(2, 17)) - {8}
"""Bits a colour that the JPEG standard allows and that no decoder here reads."""
_DAMAGE: Final = re.compile(
    "corrupt jpeg data|premature end|bogus|inconsistent|invalid|unsupported marker|marker", re.I
)
"""libjpeg's messages of damaged data; all others report what it cannot do."""
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
"""Markers, without stuffed bytes, restarts and fill bytes."""
_END: Final = b"\xff\xd9"


class DecodedJpeg(NamedTuple):
    """A decoded JPEG, or None if Pillow has to decode it, and the damage inside.

    Shape: pixels (height, width, 3), or (height, width) in grey.
    """

    pixels: NDArray[np.uint8] | None
    damage: str


def decode(data: bytes, mode: str, stored: Size, target: Size) -> DecodedJpeg:
    """Decode a JPEG of Pillow's `mode` at `target`, its `stored` size or a fraction of it.

    Raises: TruncatedError.
    """
    try:
        pixels = _decode_strictly(data, COLOURS.get(mode, "RGB"), stored, target)
    except ValueError as error:
        return DecodedJpeg(None, _damage(data, str(error)))
    if mode not in ("RGB", "L") or (pixels.shape[1], pixels.shape[0]) != target:
        return DecodedJpeg(None, "")
    return DecodedJpeg(pixels[..., 0] if mode == "L" else pixels, "")


def _decode_strictly(data: bytes, colours: str, stored: Size, target: Size) -> NDArray[np.uint8]:
    """Decode, and raise on every warning but extraneous bytes in the header, which cameras write.

    Shape: (height, width, channels).
    Raises: ValueError with the decoder's first warning.
    """
    smaller = target if target != stored else Size(0, 0)  # 0: at its own size
    decode_bytes = partial(
        simplejpeg.decode_jpeg,
        colorspace=colours,
        strict=True,
        min_width=smaller.width,
        min_height=smaller.height,
        min_factor=1,
    )
    try:
        pixels: NDArray[np.uint8] = decode_bytes(data)
    except ValueError as error:
        if "extraneous bytes before marker" not in str(error):
            raise
        pixels = decode_bytes(_without_gaps(data))
    return pixels


def unsupported(data: bytes) -> str:
    """Name the variant of a JPEG that no decoder here reads; an empty text for any other."""
    header = _header(data)
    if header.frame in _UNSUPPORTED:
        return f"a {_UNSUPPORTED[header.frame]} JPEG"
    if header.precision in UNSUPPORTED_BITS:
        return f"a JPEG of {header.precision} bits a colour"
    return ""


def is_arithmetic(data: bytes) -> bool:
    """Whether a JPEG uses arithmetic coding, which few decoders read."""
    return _header(data).frame in _ARITHMETIC


def _damage(data: bytes, message: str) -> str:
    """Return the decoder's message if it reports damage, else an empty text.

    Raises: TruncatedError if the file ends before the photo does.
    """
    if not _DAMAGE.search(message):
        return ""
    # A thumbnail in the header has an end marker of its own, so the search starts at the scan.
    if data.find(_END, _header(data).scan_offset) < 0:
        raise TruncatedError("it has no end: a part of it is lost")
    return message


class _Header(NamedTuple):
    """Segments before the first scan.

    `frame` is the start-of-frame marker and `precision` its bits a colour; `segments` are the
    ranges of the markers with their contents, without the start of scan. Units: byte offsets.
    """

    frame: int
    precision: int
    scan_offset: int
    segments: list[tuple[int, int]]


def _header(data: bytes) -> _Header:
    offset, frame, precision = 2, 0, 0
    segments: list[tuple[int, int]] = []
    while match := _MARKER.search(data, offset):
        marker, offset = data[match.end() - 1], match.end()
        if marker in (0xD9, 0xDA):
            return _Header(frame, precision, match.start(), segments)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame, precision = marker, data[offset + 2] if offset + 2 < len(data) else 0
        if marker != 0x01:  # the only marker without a length
            offset += max(int.from_bytes(data[offset : offset + 2], "big"), 2)
        segments.append((match.start(), offset))
    return _Header(frame, precision, offset, segments)


def _without_gaps(data: bytes) -> bytes:
    """Remove the bytes between the segments of the header."""
    header = _header(data)
    segments = (data[start:end] for start, end in header.segments)
    return b"".join((data[:2], *segments, data[header.scan_offset :]))
