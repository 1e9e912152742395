"""Photos as the field sends them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from shenhe.errors import PhotoError
from shenhe.geometry import Size
from shenhe.photos import PixelBudget, load, open_upright

BUDGET = PixelBudget(64 * 64, 320 * 256)


def _corners() -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[:40, :60], pixels[:40, 60:] = (255, 0, 0), (0, 255, 0)
    pixels[40:, :60], pixels[40:, 60:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(pixels)


def _reads_as_corners(image: Image.Image) -> bool:
    w, h = image.size
    spots = [(w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4)]
    wanted = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    return all(
        max(abs(a - b) for a, b in zip(image.getpixel(spot), colour, strict=True)) < 40  # type: ignore[arg-type]
        for spot, colour in zip(spots, wanted, strict=True)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_upright(tmp_path: Path, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = _corners()
    if orientation in undo:
        image = image.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.jpg", quality=95, exif=exif)
    upright = open_upright(tmp_path / "a.jpg")
    assert upright.size == (120, 80)
    assert _reads_as_corners(upright)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("a.jpg", "JPEG", {"quality": 95}),
        ("a.JPEG", "JPEG", {"progressive": True}),
        ("a.png", "PNG", {}),
        ("a.webp", "WEBP", {"lossless": True}),
        ("a.bmp", "BMP", {}),
        ("a.tiff", "TIFF", {"compression": "tiff_lzw"}),
        ("名 字'\"\n😀.png", "PNG", {}),
    ],
)
def test_kinds(tmp_path: Path, name: str, kind: str, options: dict[str, object]) -> None:
    _corners().save(tmp_path / name, kind, **options)
    assert _reads_as_corners(open_upright(tmp_path / name))


@pytest.mark.parametrize("name", ["a.heic", "a.jpg", "a.png"])
def test_heic_is_known_by_its_first_bytes(tmp_path: Path, name: str) -> None:
    pillow_heif.from_pillow(_corners()).save(tmp_path / "real.heic", quality=95)
    (tmp_path / "real.heic").rename(tmp_path / name)
    assert _reads_as_corners(open_upright(tmp_path / name))


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "LA", "1", "YCbCr", "PA"])
def test_colour_modes(tmp_path: Path, mode: str) -> None:
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG" if mode != "PA" else "TIFF"
    image = (
        _corners()
        .convert("L" if mode in ("LA", "PA") else "RGB")
        .convert("LA" if mode == "PA" else mode)
    )
    image.save(tmp_path / "a.img", kind)
    opened = open_upright(tmp_path / "a.img")
    assert opened.mode == "RGB"
    assert opened.size == (120, 80)
    if mode in ("CMYK", "P", "RGBA", "YCbCr"):
        assert _reads_as_corners(opened)


def test_sixteen_bit_keeps_its_scale(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    pixels = np.asarray(open_upright(tmp_path / "a.png"))[..., 0]
    assert pixels[0, 0] == 0
    assert pixels[-1, -1] == 255
    assert abs(int(pixels[32, 0]) - 128) < 3


def test_transparency_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 64), (10, 20, 30, 0)).save(tmp_path / "a.png")
    assert open_upright(tmp_path / "a.png").getpixel((5, 5)) == (255, 255, 255)


def test_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [_corners(), Image.new("RGB", (120, 80), (1, 2, 3))]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert _reads_as_corners(open_upright(tmp_path / "a.webp"))


@pytest.mark.parametrize(
    "size", [(640, 512), (4000, 3000), (3000, 4000), (33, 47), (20, 20), (6000, 200), (320, 256)]
)
def test_the_budget_is_that_of_the_model(size: tuple[int, int]) -> None:
    fitted = BUDGET.fit(Size(*size))
    assert fitted.width % 32 == fitted.height % 32 == 0
    if min(size) >= 32:
        height, width = smart_resize(size[1], size[0], 32, BUDGET.min_pixels, BUDGET.max_pixels)
        assert fitted == (width, height)


def test_both_sizes_are_told(tmp_path: Path) -> None:
    Image.new("RGB", (640, 512)).save(tmp_path / "a.png")
    photo = load(tmp_path / "a.png", BUDGET)
    assert photo.sizes.original_wh == (640, 512)
    assert photo.sizes.resized_wh == photo.image.size == (320, 256)


def _bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (16, 16)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    crc = __import__("zlib").crc32(bytes(data[12:29]))
    data[29:33] = crc.to_bytes(4, "big")
    return bytes(data)


def test_failures_have_codes(tmp_path: Path) -> None:
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    cases = {
        "empty": b"",
        "not_a_photo": b"%PDF-1.7 not a photo",
        "truncated": whole.getvalue()[:2000],
        "too_large": _bomb(),
    }
    for code, content in cases.items():
        path = tmp_path / f"{code}.jpg"
        path.write_bytes(content)
        with pytest.raises(PhotoError) as caught:
            load(path, BUDGET)
        assert caught.value.code == code
        assert str(path) in str(caught.value)
    Image.new("RGB", (9000, 2)).save(tmp_path / "long.png")
    with pytest.raises(PhotoError, match="too long"):
        load(tmp_path / "long.png", BUDGET)
    with pytest.raises(PhotoError, match="no such file"):
        load(tmp_path / "absent.png", BUDGET)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_smaller_and_seen_the_same(
    orientation: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8))
    image = coarse.resize((2000, 1500), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(tmp_path / "a.jpg", quality=95, exif=exif)
    budget = PixelBudget(4096, 320 * 256)
    found = load(tmp_path / "a.jpg", budget)
    whole = open_upright(tmp_path / "a.jpg")
    upright = (2000, 1500) if orientation == 1 else (1500, 2000)
    assert found.sizes.original_wh == whole.size == upright
    assert found.image.size == budget.fit(Size(*whole.size))
    exact = np.asarray(whole.resize(found.image.size, Image.Resampling.BICUBIC)).astype(int)
    apart = np.abs(np.asarray(found.image) - exact)
    assert apart.mean() < 1
    assert apart.max() <= 12


def test_a_photo_below_twice_the_budget_is_decoded_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 255, (512, 640, 3), dtype=np.uint8))
    image.save(tmp_path / "a.jpg", quality=95)
    found = load(tmp_path / "a.jpg", PixelBudget(4096, 320 * 256)).image
    exact = open_upright(tmp_path / "a.jpg").resize(found.size, Image.Resampling.BICUBIC)
    apart = np.abs(np.asarray(found).astype(int) - np.asarray(exact))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01
