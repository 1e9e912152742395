"""Photos as the pages show them: upright JPEGs in two sizes, plain or with their captions drawn."""

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

MAX_SIDES = {"small": 720, "large": 2000}
"""Maximum length of the longer side. Units: pixels."""
QUALITY = 82
PictureSize = Literal["small", "large"]


def photo_tag(image: str) -> str:
    """Identify a photo in addresses, so that no page shows another one under the same number."""
    return hashlib.sha256(image.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def picture_etag(image: str, size: PictureSize, caption: CaptionRow | None = None) -> str:
    """Identify a picture and the state of its file and its caption."""
    parts = [image, size, caption.timestamp if caption else ""]
    location = locate(image)
    if isinstance(location, Path):
        with suppress(OSError):  # reported when the photo is opened
            parts.append(str(location.stat().st_mtime_ns))
    return photo_tag("\0".join(parts))


def render_jpeg(image: str, size: PictureSize, caption: CaptionRow | None = None) -> bytes:
    """Render a photo as JPEG; a caption is drawn on it, numbered, with a legend below.

    Raises: PhotoError.
    """
    if caption is None:
        picture = photos.preview(locate(image), MAX_SIDES[size])
    else:
        preview = photos.preview(locate(image), MAX_SIDES["large"])
        picture = draw_caption(preview, from_grouped(caption.caption).photos[0])
        picture.thumbnail((MAX_SIDES[size], 2 * MAX_SIDES[size]))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
