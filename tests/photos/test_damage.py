"""Damage inside a photo: reported from the warnings of its decoder; the photo is still read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shenhe.errors import PhotoError
from shenhe.photos import PixelBudget, load, read_encoding
from tests.photos.test_completeness import picture, saved

SECTOR = 512
JPEGS = ["jpeg", "jpeg_restarts", "jpeg_grey", "jpeg_cmyk", "jpeg_progressive"]
FILLS: dict[str, Callable[[np.random.Generator, int], bytes]] = {
    "zeros": lambda rng, size: bytes(size),
    "ones": lambda rng, size: b"\xff" * size,
    "random": lambda rng, size: rng.bytes(size),
    "text": lambda rng, size: (b"log line\n" * size)[:size],
}


def _large(name: str) -> bytes:
    return saved(name, picture(800, 600))


def _facts_or_code(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    try:
        return read_encoding(path).damaged_inside
    except PhotoError as error:
        return error.code


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("name", JPEGS)
def test_a_lost_sector_is_reported(name: str, fill: str, tmp_path: Path) -> None:
    data, rng = _large(name), np.random.default_rng(1)
    first = data.index(b"\xff\xda") + 64
    silent = 0
    for at in rng.integers(first, len(data) - SECTOR - 64, 12):
        damaged = bytearray(data)
        damaged[at : at + SECTOR] = FILLS[fill](rng, SECTOR)
        silent += not _facts_or_code(tmp_path / "a.jpg", bytes(damaged))
    # In the last scans of a progressive JPEG any bits are valid.
    assert silent <= (3 if name == "jpeg_progressive" else 0)


@pytest.mark.parametrize("sectors", [1, 2, 5])
def test_a_damaged_photo_is_still_read(sectors: int, tmp_path: Path) -> None:
    data = bytearray(_large("jpeg"))
    for number in range(1, sectors + 1):
        at = len(data) * number // (sectors + 2)
        data[at : at + SECTOR] = bytes(SECTOR)
    (tmp_path / "a.jpg").write_bytes(data)
    photo = load(tmp_path / "a.jpg", PixelBudget(4096, 320 * 256))
    assert photo.sizes.original_wh == (800, 600)
    assert "Corrupt JPEG data" in (photo.sizes.facts.damaged_inside or "")


def test_intact_photos_are_not_reported(tmp_path: Path) -> None:
    blank = Image.new("RGB", (2000, 1500), "white")
    for options in ({}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}):
        blank.save(tmp_path / "a.jpg", **options)
        assert read_encoding(tmp_path / "a.jpg").damaged_inside == ""
    data = _large("jpeg")
    # Cameras write such bytes between the segments of the header.
    assert _facts_or_code(tmp_path / "a.jpg", data[:20] + bytes(14) + data[20:]) == ""
    assert _facts_or_code(tmp_path / "a.jpg", data[:20] + b"\xff" * 9 + data[20:]) == ""


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pixels_are_those_of_pillow(mode: str, subsampling: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture(640, 480).convert(mode).save(path, quality=90, subsampling=subsampling)
    with Image.open(path) as image:
        whole = np.asarray(image.convert("RGB"))
    assert np.array_equal(np.asarray(load(path, PixelBudget()).image), whole)


def test_a_wrong_checksum_in_a_png(tmp_path: Path) -> None:
    data = bytearray(saved("png"))
    at = data.index(b"IDAT")
    data[at + 4 + int.from_bytes(data[at - 4 : at], "big")] ^= 1
    assert "checksum" in _facts_or_code(tmp_path / "a.png", bytes(data))


def test_zeros_inside_a_heic(tmp_path: Path) -> None:
    data = bytearray(saved("heic"))
    at = len(data) // 2
    data[at : at + 64] = bytes(64)
    assert "bytes that a picture cannot" in _facts_or_code(tmp_path / "a.heic", bytes(data))
