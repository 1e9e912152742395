"""EXIF blocks as cameras write them, and as they should not."""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image
from PIL.TiffImagePlugin import IFDRational

SHANGHAI = (31.230416, 121.473701)


def exif_block(
    taken: str = "",
    offset: str = "",
    fraction: str = "",
    gps: tuple[float, float] | None = None,
    camera: tuple[str, str] = ("", ""),
    orientation: int = 1,
    gps_tags: Mapping[int, object] | None = None,
) -> bytes:
    """Make a block by Pillow, so that the reader is not held against itself."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    if any(camera):
        exif[0x010F], exif[0x0110] = camera
    names = {0x9003: taken, 0x9011: offset, 0x9291: fraction}
    exif.get_ifd(0x8769).update({tag: text for tag, text in names.items() if text})
    if gps:
        latitude, longitude = gps
        exif.get_ifd(0x8825).update(
            {
                1: "N" if latitude >= 0 else "S",
                2: _degrees(abs(latitude)),
                3: "E" if longitude >= 0 else "W",
                4: _degrees(abs(longitude)),
            }
        )
    if gps_tags:
        exif.get_ifd(0x8825).update(gps_tags)
    return exif.tobytes()


def _degrees(value: float) -> tuple[IFDRational, ...]:
    minutes = value % 1 * 60
    parts = (int(value), 1), (int(minutes), 1), (round(minutes % 1 * 60 * 10000), 10000)
    return tuple(IFDRational(*part) for part in parts)


def photo_with(exif: bytes, kind: str = "JPEG", size: tuple[int, int] = (320, 240)) -> bytes:
    """Make a photo with lines, so that it has contrast, and an EXIF block."""
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"exif": exif} if exif else {}))
    return buffer.getvalue()
