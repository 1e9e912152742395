"""Photos as the pages show them: upright JPEGs of two sizes, with or without their captions."""

from __future__ import annotations

import io
from typing import Literal

from shenhe import photos
from shenhe.formats.caption import from_grouped
from shenhe.locations import locate
from shenhe.overlays import draw_caption
from shenhe.records import CaptionRow

SIDES = {"small": 720, "large": 2000}
"""Units: pixels of the longer side, at most."""
QUALITY = 82
Size = Literal["small", "large"]


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
