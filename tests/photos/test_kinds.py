"""The kind of a file by its first bytes, and names of photos."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from shenhe.photos.kinds import ARCHIVES, HEAD_BYTES, PICTURES, READABLE, is_photo, kind_of


def _saved(kind: str) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(np.full((64, 64, 3), 99, np.uint8))
    if kind == "HEIC":
        pillow_heif.from_pillow(image).save(buffer)
    else:
        image.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [*sorted(READABLE), "GIF", "AVIF", "PDF", "ICO"])
def test_files_of_libraries_are_identified(kind: str) -> None:
    assert kind_of(_saved(kind)[:HEAD_BYTES]) == kind


def test_archives_are_identified() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("1.jpg", b"x")
    assert kind_of(packed.getvalue()) == "ZIP"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("1.jpg"))
    assert kind_of(packed.getvalue()[:HEAD_BYTES]) == "TAR"
    assert kind_of(gzip.compress(b"x")) == "GZIP"
    assert {"ZIP", "TAR", "GZIP"} <= ARCHIVES


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41", "MP4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "MOV"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "MOV"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftyp3gp4\0\0\0\x003gp4isom", "3GP"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "CR3"),
        (b"\xff\x0a\xfa\x7f", "JXL"),
        (b"8BPS\0\1", "PSD"),
        (b"Rar!\x1a\7\1\0", "RAR"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><html>", "HTML"),
        (b"RIFF\x10\0\0\0AVI LIST", "AVI"),
        (b"BMW has no header", None),
        (b"plain text", None),
        (b"\0" * HEAD_BYTES, None),
        (b"", None),
        (b"\xff\xd8", None),
    ],
)
def test_first_bytes(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


def test_the_sets_of_kinds_are_disjoint() -> None:
    assert not READABLE & PICTURES
    assert not READABLE & ARCHIVES
    assert not ARCHIVES & PICTURES


@pytest.mark.parametrize("length", range(40))
def test_a_head_of_any_length(length: int) -> None:
    for kind in ("HEIC", "PNG", "BMP", "TIFF"):
        assert kind_of(_saved(kind)[:length]) in (kind, None, "MP4")


@pytest.mark.parametrize("name", ["a.jfif", "a.JPE", "a.mpo", "a.JPG", "图.HEIC", "a.b.tif"])
def test_names_of_photos(name: str) -> None:
    assert is_photo(name)


@pytest.mark.parametrize("name", ["a.gif", "jpg", "a.jpg.part", "a.jpg.zip", ".jpg", "a.pdf"])
def test_other_names(name: str) -> None:
    assert not is_photo(name)
