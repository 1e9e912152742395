"""Forty kinds of file that call themselves photos and are none, or no whole one."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image

NOISE = np.random.default_rng(3).integers(0, 255, (160, 200, 3), np.uint8)


def _encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, kind, **options)
    return buffer.getvalue()


def _heic() -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(NOISE)).save(buffer)
    return buffer.getvalue()


def _png_of_size(width: int, height: int) -> bytes:
    data = bytearray(_encoded("PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def _with(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("photo.jpg", _encoded("JPEG"))
    return buffer.getvalue()


def contents() -> dict[str, bytes]:
    """File name -> bytes."""
    jpeg, png, webp = _encoded("JPEG"), _encoded("PNG"), _encoded("WEBP")
    bmp, tiff, gif, heic = _encoded("BMP"), _encoded("TIFF"), _encoded("GIF"), _heic()
    return {
        "empty.jpg": b"",
        "one-byte.jpg": b"\xff",
        "zeros.jpg": b"\0" * 5000,
        "random.jpg": np.random.default_rng(1).bytes(5000),
        "text.jpg": "这不是照片".encode(),
        "html.jpg": b"<!doctype html><title>404</title>",
        "json.jpg": b'{"error": "not found"}',
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "pdf.jpg": b"%PDF-1.7\n%\xe2\xe3",
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "program.jpg": b"MZ\x90\0" + b"\0" * 500,
        "elf.png": b"\x7fELF\x02\x01\x01" + b"\0" * 500,
        "video.jpg": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 300,
        "zip.jpg": _zip(),
        "gzip.jpg": gzip.compress(jpeg),
        "gif.jpg": gif,
        "icon.png": _encoded("ICO", sizes=[(16, 16)]),
        "ppm.bmp": _encoded("PPM"),
        "tga.bmp": _encoded("TGA"),
        "start-only.jpg": jpeg[:2],
        "header-only.jpg": jpeg[:200],
        "half.jpg": jpeg[: len(jpeg) // 2],
        "no-end.jpg": jpeg[:-300],
        "no-sos.jpg": jpeg[: jpeg.index(b"\xff\xda")],
        "bad-marker.jpg": _with(jpeg, 2, b"\xff\xff\xff\xff"),
        "signature-only.png": png[:8],
        "half.png": png[: len(png) // 2],
        "bad-crc.png": _with(png, 30, b"\0\0"),
        "bad-data.png": _with(png, 60, b"\x55" * 400),
        "zero-width.png": _png_of_size(0, 100),
        "bomb.png": _png_of_size(60_000, 60_000),
        "long.png": _png_of_size(100_000, 3),
        "header-only.webp": webp[:16],
        "half.webp": webp[: len(webp) // 2],
        "header-only.bmp": bmp[:30],
        "half.bmp": bmp[: len(bmp) // 2],
        "header-only.tiff": tiff[:8],
        "bad-directory.tiff": _with(tiff, 4, b"\xff\xff\xff\x7f"),
        "half.heic": heic[: len(heic) // 2],
        "header-only.heic": heic[:24],
    }


def special(folder: Path) -> dict[str, str]:
    """Make what is no plain file at all; name -> its folder entry's kind."""
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.jpg")
    return {
        "dangling.jpg": "missing",
        "circle.jpg": "unreadable",
        "device.jpg": "unreadable",
        "pipe.jpg": "unreadable",
    }
