"""Photos as the pages show them: upright JPEGs, from a thumbnail to the true pixels."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Literal

from shenhe import photos
from shenhe.locations import locate

MAX_SIDES = {"thumb": 240, "small": 720, "large": 2000, "full": 16_384}
"""Maximum length of the longer side. Units: pixels."""
QUALITIES = {"thumb": 70, "small": 82, "large": 85, "full": 92}
KEPT_THUMBNAILS = 4096
"""Thumbnails in memory, some 8 KB each: each takes nearly as long to make as a larger picture."""
PictureSize = Literal["thumb", "small", "large", "full"]


def photo_tag(image: str) -> str:
    """Identify a photo in addresses, so that no page shows another one under the same number."""
    return hashlib.sha256(image.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def picture_etag(image: str, size: PictureSize) -> str:
    """Identify a picture and the state of its file."""
    parts = [image, size]
    location = locate(image)
    if isinstance(location, Path):
        with suppress(OSError):  # reported when the photo is opened
            parts.append(str(location.stat().st_mtime_ns))
    return photo_tag("\0".join(parts))


def render_jpeg(image: str, size: PictureSize) -> bytes:
    """Render a photo as JPEG.

    Raises: PhotoError.
    """
    picture = photos.preview(locate(image), MAX_SIDES[size])
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITIES[size])
    return buffer.getvalue()


@lru_cache(maxsize=KEPT_THUMBNAILS)
def render_thumbnail(image: str, etag: str) -> bytes:
    """Render a thumbnail, or give it as it was rendered for the same state of the file.

    Raises: PhotoError.
    """
    return render_jpeg(image, "thumb")
