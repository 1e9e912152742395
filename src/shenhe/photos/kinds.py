"""The kind of a file by its first bytes, and photo names by their suffix.

Suffixes are unreliable: phones send HEIC as .jpg, and chat programs rename files freely. A name
decides only whether a file is opened as a photo; its bytes decide whether it is read.
"""

from __future__ import annotations

import io
import posixpath
from typing import BinaryIO, Final

from shenhe.errors import PhotoError
from shenhe.locations import Location

HEAD_BYTES: Final = 512
"""Length of the head of a file that `kind_of` needs."""
MAX_SOURCE_BYTES: Final = 1_200_000_000
"""Limit checked before reading: more than the largest uncompressed photo takes."""

SUFFIXES: Final = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
        *(".png", ".webp", ".bmp", ".heic", ".heif", ".tif", ".tiff"),
    )
)
"""Suffixes of photos, in lower case."""
READABLE: Final = frozenset({"JPEG", "PNG", "WEBP", "BMP", "HEIC", "TIFF"})
"""Kinds that are decoded."""
ARCHIVES: Final = frozenset({"ZIP", "RAR", "7Z", "GZIP", "TAR", "BZIP2", "XZ", "ZSTD"})
"""Kinds that contain other files, possibly photos. An office document is a ZIP."""
PICTURES: Final = frozenset(
    (
        *("AVIF", "GIF", "JXL", "JPEG 2000", "JPEG XR", "PSD", "SVG", "ICO", "CR3", "RAF", "DICOM"),
        *("MP4", "MOV", "3GP", "MKV", "AVI", "FLV", "MPEG", "PDF", "OLE"),
    )
)
"""Pictures, videos and documents that may show the site and are not decoded."""

_STARTS: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\xff\x0a", "JXL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "PSD"),
    (b"\0\0\1\0", "ICO"),
    (b"FUJIFILMCCD-RAW", "RAF"),
    (b"%PDF-", "PDF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE"),
    (b"PK\3\4", "ZIP"),
    (b"PK\5\6", "ZIP"),
    (b"PK\7\x08", "ZIP"),
    (b"Rar!\x1a\7", "RAR"),
    (b"7z\xbc\xaf\x27\x1c", "7Z"),
    (b"\x1f\x8b", "GZIP"),
    (b"BZh", "BZIP2"),
    (b"\xfd7zXZ\0", "XZ"),
    (b"\x28\xb5\x2f\xfd", "ZSTD"),
    (b"\x1a\x45\xdf\xa3", "MKV"),
    (b"FLV\1", "FLV"),
    (b"\0\0\1\xba", "MPEG"),
    (b"\0\0\1\xb3", "MPEG"),
    (b"OggS", "OGG"),
    (b"ID3", "MP3"),
    (b"#!AMR", "AMR"),
    (b"{\\rtf", "RTF"),
    (b"SQLite format 3\0", "SQLITE"),
    (b"\x7fELF", "ELF"),
)
_IN_RIFF: Final = {b"WEBP": "WEBP", b"AVI ": "AVI", b"WAVE": "WAV"}
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Lengths of the header after the first 14 bytes of a BMP."""
_BRANDS: Final = (
    ({b"avif", b"avis"}, "AVIF"),
    ({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}, "HEIC"),
    ({b"crx "}, "CR3"),
    ({b"qt  "}, "MOV"),
)
"""Brands of ISO media files, major or compatible, in order of precedence."""
_PICTURE_BRANDS: Final = frozenset({b"mif1", b"msf1", b"mif2", b"1pic"})
_QUICKTIME_BOXES: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
"""First boxes of QuickTime files without a `ftyp` box."""


def is_photo(name: str) -> bool:
    """Whether a file name has the suffix of a photo, in any letter case.

    Example:
        is_photo("IMG_1.HEIC") and not is_photo("1.jpg.part")

    """
    return posixpath.splitext(name)[1].casefold() in SUFFIXES


def kind_of(head: bytes) -> str | None:
    """Identify a file by its first `HEAD_BYTES` bytes; None if the kind is unknown.

    Example:
        kind_of(b"%PDF-1.7 ...") == "PDF"

    """
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF":
        return _IN_RIFF.get(head[8:12])
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[4:8] in _QUICKTIME_BOXES and len(head) > 8:
        return "MOV"
    if head[257:262] == b"ustar":
        return "TAR"
    if head[128:132] == b"DICM":
        return "DICOM"
    return _of_text(head)


def _of_brands(head: bytes) -> str:
    """Identify an ISO media file by the brands in its first box."""
    end = min(int.from_bytes(head[:4], "big") or len(head), len(head))
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}
    for names, kind in _BRANDS:
        if brands & names and not (kind == "MOV" and head[8:12] != b"qt  "):
            return kind
    if brands & _PICTURE_BRANDS:
        return "HEIC"
    return "3GP" if head[8:11] == b"3gp" else "MP4"


def _of_text(head: bytes) -> str | None:
    """Identify web pages, vector pictures and structured text, such as a server's error page."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "SVG"
    if start.startswith(b"<?xml"):
        return "XML"
    if start.startswith(b"version https://git-lfs"):
        return "LFS"
    if start[:1] in (b"{", b"["):
        return "JSON"
    return None


def identify(path: Location, file: BinaryIO) -> tuple[str, int]:
    """Identify the kind of a photo. Returns it with the length of the file in bytes.

        identify(path, file)  # ("JPEG", 3_481_920)

    Raises: PhotoError for another kind of file, or one that is too long.
    """
    length = file.seek(0, io.SEEK_END)
    if not length:
        raise PhotoError("empty", f"{path}: the file is empty")
    file.seek(0)
    head = file.read(HEAD_BYTES)
    kind = kind_of(head)
    if kind in READABLE:
        if length > MAX_SOURCE_BYTES:
            problem = f"{path}: {length:,} bytes are over the limit of {MAX_SOURCE_BYTES:,}"
            raise PhotoError("too_large", problem)
        return kind, length
    readable = ", ".join(sorted(READABLE))
    if kind is not None:
        article = "an" if kind[0] in "AEFHILMOX" or kind == "SVG" else "a"
        problem = f"is {article} {kind}, not a photo of a kind that is read ({readable})"
    elif not head.strip(b"\0"):
        problem = "begins with nothing but zeros: it was never written, or its place was lost"
    else:
        problem = f"is not a photo of a known kind ({readable})"
    raise PhotoError("not_a_photo", f"{path}: {problem}")
