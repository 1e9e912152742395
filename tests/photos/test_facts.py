"""Facts of photos: what they say, and that no photo that can be read fails for them."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, ImageFilter

from shenhe.messages import PhotoFacts
from shenhe.photos import PixelBudget, load, read_facts
from shenhe.photos.perceptual_hash import distance
from tests.photos.exif_blocks import exif_block, photo_with


def scene(seed: int = 0, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """A cabinet with devices, and the noise of a sensor."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", size, (200, 206, 212))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        box = (x, y, x + rng.integers(40, 240), y + rng.integers(30, 180))
        draw.rectangle(tuple(map(int, box)), fill=tuple(rng.integers(0, 255, 3).tolist()))
    noise = rng.normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def facts_of(image: Image.Image, path: Path, kind: str = "JPEG", **options: Any) -> PhotoFacts:
    image.save(path, kind, **options)
    return read_facts(path)


def test_a_run_and_a_list_see_one_photo_alike(tmp_path: Path) -> None:
    """Decoded at other sizes, a photo has the same facts but for rounding."""
    path = tmp_path / "1.jpg"
    scene(size=(2000, 1500)).save(path, quality=90)
    listed, loaded = read_facts(path), load(path, PixelBudget()).sizes.facts
    assert (
        listed.content_hash == loaded.content_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    assert distance(listed.perceptual_hash or "", loaded.perceptual_hash or "") <= 2
    assert listed.brightness == pytest.approx(loaded.brightness, abs=0.5)
    assert listed.sharpness == pytest.approx(loaded.sharpness, rel=0.3)


def test_copies_are_near_and_others_far(tmp_path: Path) -> None:
    def look(image: Image.Image, **options: Any) -> str:
        return facts_of(image, tmp_path / "1.jpg", **options).perceptual_hash or ""

    image = scene()
    own = look(image, quality=90)
    assert distance(own, look(image, quality=50)) <= 4
    assert distance(own, look(image.resize((1280, 960)), quality=80)) <= 4
    turned = Image.Exif()
    turned[0x0112] = 6
    assert distance(own, look(image.transpose(Image.Transpose.ROTATE_90), exif=turned)) <= 4
    assert min(distance(own, look(scene(seed))) for seed in range(1, 12)) > 10


def test_sharp_blurred_bright_dark(tmp_path: Path) -> None:
    path, image = tmp_path / "1.png", scene()
    sharp = facts_of(image, path, "PNG")
    blurred = facts_of(image.filter(ImageFilter.GaussianBlur(6)), path, "PNG")
    dark = facts_of(image.point(lambda value: value // 8), path, "PNG")
    assert (sharp.sharpness or 0) > 5 * (blurred.sharpness or 0)
    assert (sharp.brightness or 0) > 7 * (dark.brightness or 0)


def test_colour_profile_is_named(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    named = facts_of(scene(), tmp_path / "1.jpg", icc_profile=profile)
    assert named.colour_profile is not None
    assert "sRGB" in named.colour_profile
    broken = facts_of(
        scene(), tmp_path / "1.jpg", icc_profile=b"\0" * 128 + b"desc\xff\xff\xff\xff"
    )
    assert broken.colour_profile is None


def test_a_page_of_a_phone_is_a_screenshot_and_a_photo_is_not(tmp_path: Path) -> None:
    page = Image.new("RGB", (1080, 2400), (248, 248, 248))
    draw = ImageDraw.Draw(page)
    for line in range(40):
        draw.rectangle((60, 120 + 50 * line, 200 + 19 * line, 140 + 50 * line), fill=(40, 40, 40))
    assert facts_of(page, tmp_path / "1.png", "PNG").screenshot is True
    assert facts_of(page, tmp_path / "1.jpg", quality=80).screenshot is True
    assert facts_of(scene(size=(1080, 2400)), tmp_path / "1.png", "PNG").screenshot is False
    camera = exif_block(camera=("vivo", "X90"))
    assert facts_of(page, tmp_path / "1.jpg", exif=camera).screenshot is False


def odd_photos() -> dict[str, bytes]:
    """Photos that can be read, each odd in another way."""

    def saved(image: Image.Image, kind: str, **options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    bomb = exif_block(camera=("A" * 60_000, "B"))
    return {
        "one pixel": saved(Image.new("RGB", (1, 1)), "PNG"),
        "a line": saved(Image.new("L", (150, 1)), "PNG"),
        "16 bits": saved(
            Image.fromarray(np.arange(65536, dtype=np.uint16).reshape(256, 256)), "PNG"
        ),
        "CMYK": saved(scene().convert("CMYK"), "JPEG"),
        "black": saved(Image.new("RGB", (640, 480)), "JPEG"),
        "palette": saved(scene().convert("P"), "PNG", transparency=0),
        "no EXIF but its name": photo_with(b"Exif\0\0"),
        "torn EXIF": photo_with(exif_block("2023:02:22 10:11:12")[:40]),
        "huge EXIF": photo_with(bomb),
        "EXIF of zeros": photo_with(b"Exif\0\0II*\0" + bytes(60_000)),
        "text that is no EXIF": _png_with_text(b"Raw profile type exif\0\0" + b"\nexif\n 4\nzz"),
    }


def _png_with_text(text: bytes) -> bytes:
    buffer = io.BytesIO()
    scene().save(buffer, "PNG")
    data = buffer.getvalue()
    checksum = zlib.crc32(b"zTXt" + text).to_bytes(4, "big")
    chunk = len(text).to_bytes(4, "big") + b"zTXt" + text + checksum
    plain = text.replace(b"\0\0", b"\0")
    checksum = zlib.crc32(b"tEXt" + plain).to_bytes(4, "big")
    chunk = len(plain).to_bytes(4, "big") + b"tEXt" + plain + checksum
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize("name", odd_photos())
def test_no_photo_fails_for_its_facts(name: str, tmp_path: Path) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(odd_photos()[name])
    for facts in (read_facts(path), load(path, PixelBudget()).sizes.facts):
        assert facts.content_hash
        assert facts.brightness is not None
        assert facts.sharpness is not None
        assert facts.gps is None
        assert facts.captured_at is None
    if name in ("one pixel", "a line", "black"):
        assert facts.perceptual_hash is None
