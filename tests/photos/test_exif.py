"""What EXIF says of a photo, and that no block of it fails or lies."""

from __future__ import annotations

import math
import random
import struct
from pathlib import Path

import pytest
from PIL.TiffImagePlugin import IFDRational

from shenhe.photos import read_facts
from shenhe.photos.exif import MAX_NAME, Exif, read_exif
from tests.photos.exif_blocks import SHANGHAI, exif_block, photo_with


@pytest.mark.parametrize(
    ("taken", "offset", "fraction", "captured_at"),
    [
        ("2023:02:22 10:11:12", "+08:00", "123", "2023-02-22T10:11:12.123+08:00"),
        ("2023:02:22 10:11:12", "", "", "2023-02-22T10:11:12"),
        ("2023-02-22 10:11:12", "Z", "5", "2023-02-22T10:11:12.5+00:00"),
        ("2023:02:22 10:11:12", "+99:00", "x", "2023-02-22T10:11:12"),
        ("0000:00:00 00:00:00", "+08:00", "", None),
        ("    :  :     :  :  ", "", "", None),
        ("2023:02:30 10:11:12", "", "", None),
        ("2023:02:22 24:60:99", "", "", None),
        ("1970:01:01 00:00:00", "", "", None),
        ("yesterday", "", "", None),
    ],
)
def test_time(taken: str, offset: str, fraction: str, captured_at: str | None) -> None:
    assert read_exif(exif_block(taken, offset, fraction)).captured_at == captured_at


@pytest.mark.parametrize("place", [SHANGHAI, (-33.8688, -70.6693), (0.0001, 0.0), (90.0, 180.0)])
def test_place(place: tuple[float, float]) -> None:
    gps = read_exif(exif_block(gps=place)).gps
    assert gps is not None
    assert gps == pytest.approx(place, abs=2e-6)


NONE = IFDRational(0, 0)


@pytest.mark.parametrize(
    "tags",
    [
        {1: "N", 2: (NONE, NONE, NONE), 3: "E", 4: (NONE, NONE, NONE)},
        {1: "N", 2: (31, 14, NONE), 3: "E", 4: (121, 28, 0)},
        {1: "N", 2: (0, 0, 0), 3: "E", 4: (0, 0, 0)},
        {1: "N", 2: (91, 0, 0), 3: "E", 4: (121, 0, 0)},
        {1: "N", 2: (31, 0, 0), 3: "E", 4: (181, 0, 0)},
        {1: "?", 2: (31, 0, 0), 3: "E", 4: (121, 0, 0)},
        {2: (31, 0, 0), 4: (121, 0, 0)},
        {1: "N", 2: (31, 0, 0)},
    ],
)
def test_no_place(tags: dict[int, object]) -> None:
    assert read_exif(exif_block(gps_tags=tags)).gps is None


def test_camera_is_one_printable_name() -> None:
    assert read_exif(exif_block(camera=("HUAWEI", "HUAWEI P40"))).camera == "HUAWEI P40"
    assert read_exif(exif_block(camera=("Apple", "iPhone 14"))).camera == "Apple iPhone 14"
    assert read_exif(exif_block(camera=("\x1b[2J\u202e通过", "\n= 1+1"))).camera is not None
    name = read_exif(exif_block(camera=("\x1b[2Jx", "a" * 5000))).camera
    assert name is not None
    assert name.isprintable()
    assert len(name) <= MAX_NAME


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
def test_every_kind_has_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    block = exif_block("2023:02:22 10:11:12", gps=SHANGHAI, camera=("vivo", "X90"))
    path.write_bytes(photo_with(block, kind))
    facts = read_facts(path)
    assert facts.captured_at == "2023-02-22T10:11:12"
    assert facts.gps == pytest.approx(SHANGHAI, abs=2e-6)
    assert facts.camera == "vivo X90"


def test_cut_and_changed_blocks_give_what_is_there_or_nothing() -> None:
    """5,000 blocks with bytes changed, cut or doubled: nothing is raised, nothing is no number."""
    whole = exif_block("2023:02:22 10:11:12", "+08:00", "1", SHANGHAI, ("vivo", "X90"))
    rng = random.Random(7)
    for _ in range(5000):
        block = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            block[rng.randrange(len(block))] = rng.choice((0, 1, 4, 5, 8, 0x7F, 0xFF))
        _check(read_exif(bytes(block[: rng.randint(0, len(block))] + whole[: rng.choice((0, 99))])))


def test_huge_counts_take_no_memory() -> None:
    """A directory of 65,535 entries, each of which names the whole block as its value."""
    entry = struct.pack("<HHII", 0x010F, 2, 2**32 - 1, 8)
    block = b"II*\0\x08\0\0\0" + b"\xff\xff" + entry * 65_535
    _check(read_exif(block + b"A" * (1 << 20)))


def test_a_directory_that_names_itself_ends() -> None:
    entries = struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<HHII", 0x8825, 4, 1, 8)
    _check(read_exif(b"II*\0\x08\0\0\0" + b"\x02\0" + entries))


def _check(exif: Exif) -> None:
    assert exif.camera is None or (exif.camera.isprintable() and len(exif.camera) <= MAX_NAME)
    if exif.gps is not None:
        assert all(map(math.isfinite, exif.gps))
