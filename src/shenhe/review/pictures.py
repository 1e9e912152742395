"""Photos as the pages show them: upright JPEGs of two sizes, with or without their captions."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from pathlib import Path
from typing import Literal

from shenhe import photos
from shenhe.formats.caption import from_grouped
from shenhe.locations import locate
from shenhe.overlays import draw_caption
from shenhe.row_types import CaptionRow

SIDES = {"small": 720, "large": 2000}
"""Units: pixels of the longer side, at most."""
QUALITY = 82
Size = Literal["small", "large"]


def tag(image: str) -> str:
    """Name a photo in addresses, so that a page never shows another that has come to its place."""
    return hashlib.sha256(image.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def fingerprint(image: str, size: Size, caption: CaptionRow | None = None) -> str:
    """Tell a picture from every other, and from what it was before its photo was changed."""
    told = [image, size, caption.timestamp if caption else ""]
    location = locate(image)
    if isinstance(location, Path):
        with suppress(OSError):  # told of when it is opened
            told.append(str(location.stat().st_mtime_ns))
    return tag("\0".join(told))


def jpeg(image: str, size: Size, caption: CaptionRow | None = None) -> bytes:
    """Give a photo as a JPEG; with its caption, drawn on it, numbered, and a legend below.

    Raises: PhotoError.
    """
    if caption is None:
        picture = photos.preview(locate(image), SIDES[size])
    else:
        whole = photos.preview(locate(image), SIDES["large"])
        picture = draw_caption(whole, from_grouped(caption.caption).photos[0])
        picture.thumbnail((SIDES[size], 2 * SIDES[size]))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
