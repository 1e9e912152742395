"""Photos of every kind that contractors send."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin
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
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    return all(
        max(abs(a - b) for a, b in zip(image.getpixel(spot), colour, strict=True)) < 40  # type: ignore[arg-type]
        for spot, colour in zip(spots, colours, strict=True)
    )


def _with_a_lost_sector(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "how", "as_stored"),
    [
        ("plain.jpg", {}, True),
        ("plain.png", {}, True),
        ("plain.webp", {"lossless": True}, True),
        ("inks.jpg", {"mode": "CMYK"}, False),
        ("clear.png", {"mode": "RGBA"}, False),
        ("deep.png", {"mode": "I;16"}, False),
        ("kind.tiff", {}, False),
        ("phone.heic", {}, False),
        ("large.png", {"size": (640, 512)}, False),
        ("lost.jpg", {}, False),
    ],
)
def test_photos_that_every_reader_sees_alike(
    name: str, how: dict[str, Any], as_stored: bool, tmp_path: Path
) -> None:
    noise = Image.effect_noise(how.pop("size", (256, 192)), 60)
    mode = how.pop("mode", "RGB")
    image = noise.convert("I").convert(mode) if mode == "I;16" else noise.convert(mode)
    image.save(tmp_path / name, **how)
    if name.startswith("lost"):
        _with_a_lost_sector(tmp_path / name)
    photo = load(tmp_path / name, BUDGET)
    assert bool(photo.sizes.facts.damaged_inside) == name.startswith("lost")
    assert photo.as_stored is as_stored


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
def test_heic_is_identified_by_its_first_bytes(tmp_path: Path, name: str) -> None:
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
    upright = open_upright(tmp_path / "a.img")
    assert upright.mode == "RGB"
    assert upright.size == (120, 80)
    if mode in ("CMYK", "P", "RGBA", "YCbCr"):
        assert _reads_as_corners(upright)


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


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "tiff_lzw"}, {"compression": "jpeg", "dpi": (72, 72)}]
)
def test_pages_behind_the_first_are_never_passed_over(
    tmp_path: Path, options: dict[str, Any], big: bool
) -> None:
    pages = [Image.new("RGB", (120, 80), (page, 2, 3)) for page in range(3)]
    path = tmp_path / "scan.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], big_tiff=big, **options)
    with pytest.raises(PhotoError, match="a TIFF of 3 pages, of which only the first") as caught:
        open_upright(path)
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(("tag", "value"), [(254, 1), (254, 4), (255, 2)])
def test_a_smaller_copy_in_a_tiff_is_no_page(tmp_path: Path, tag: int, value: int) -> None:
    path = tmp_path / "a.tif"
    with TiffImagePlugin.AppendingTiffWriter(path, new=True) as file:
        _corners().save(file, "TIFF")
        file.newFrame()
        Image.new("RGB", (60, 40)).save(file, "TIFF", tiffinfo={tag: value})
    assert _reads_as_corners(open_upright(path))


@pytest.mark.parametrize(
    "size", [(640, 512), (4000, 3000), (3000, 4000), (33, 47), (20, 20), (6000, 200), (320, 256)]
)
def test_the_budget_equals_smart_resize(size: tuple[int, int]) -> None:
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
def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same(
    orientation: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8))
    image = coarse.resize((2000, 1500), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(tmp_path / "a.jpg", quality=95, exif=exif)
    budget = PixelBudget(4096, 320 * 256)
    photo = load(tmp_path / "a.jpg", budget)
    whole = open_upright(tmp_path / "a.jpg")
    upright = (2000, 1500) if orientation == 1 else (1500, 2000)
    assert photo.sizes.original_wh == whole.size == upright
    assert photo.image.size == budget.fit(Size(*whole.size))
    exact = np.asarray(whole.resize(photo.image.size, Image.Resampling.BICUBIC)).astype(int)
    difference = np.abs(np.asarray(photo.image) - exact)
    assert difference.mean() < 1
    assert difference.max() <= 12


def test_a_photo_below_twice_the_budget_is_decoded_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 255, (512, 640, 3), dtype=np.uint8))
    image.save(tmp_path / "a.jpg", quality=95)
    photo = load(tmp_path / "a.jpg", PixelBudget(4096, 320 * 256)).image
    exact = open_upright(tmp_path / "a.jpg").resize(photo.size, Image.Resampling.BICUBIC)
    difference = np.abs(np.asarray(photo).astype(int) - np.asarray(exact))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.7\n", "is a PDF, not a photo of a kind that is read"),
        (b"GIF89a" + bytes(30), "is a GIF, "),
        (b"PK\3\4" + bytes(30), "is a ZIP, "),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "is an MP4, "),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "is an AVIF, "),
        (b"8BPS" + bytes(30), "is a PSD, "),
        (b"<html>404</html>", "is an HTML, "),
        (b"plain text", "not a photo of a known kind"),
        (bytes(600), "nothing but zeros"),
    ],
)
def test_other_files_are_named_by_kind(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(PhotoError, match=re.escape(message)) as caught:
        open_upright(tmp_path / "a.jpg")
    assert caught.value.code == "not_a_photo"


def _jpeg(**options: Any) -> bytearray:
    buffer = io.BytesIO()
    _corners().save(buffer, "JPEG", **options)
    return bytearray(buffer.getvalue())


def _twelve_bits() -> bytes:
    data = _jpeg()
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def _lossless() -> bytes:
    data = _jpeg()
    data[data.index(b"\xff\xc0") + 1] = 0xC3
    return bytes(data)


def _tiff(compression: int) -> bytes:
    buffer = io.BytesIO()
    _corners().save(buffer, "TIFF", compression="tiff_lzw")
    data = bytearray(buffer.getvalue())
    at = data.index((259).to_bytes(2, "little") + (3).to_bytes(2, "little"))
    data[at + 8 : at + 10] = compression.to_bytes(2, "little")
    return bytes(data)


def _bmp(compression: int) -> bytes:
    buffer = io.BytesIO()
    _corners().save(buffer, "BMP")
    data = bytearray(buffer.getvalue())
    data[30] = compression
    return bytes(data)


@pytest.mark.parametrize(
    "content",
    [_twelve_bits(), _lossless(), _tiff(50001), _tiff(34712), _tiff(32809), _tiff(7777), _bmp(4)],
    ids=["12 bits", "lossless", "webp in tiff", "jpeg 2000 in tiff", "fax", "unknown", "bmp"],
)
def test_an_unsupported_variant_is_not_called_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.img").write_bytes(content)
    with pytest.raises(PhotoError, match="not read") as caught:
        open_upright(tmp_path / "a.img")
    assert caught.value.code == "unsupported"


def test_decoders_write_nothing_to_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    buffer = io.BytesIO()
    _corners().save(buffer, "TIFF", compression="tiff_lzw")
    whole = buffer.getvalue()
    for number, content in enumerate(
        [_tiff(50001), _tiff(32809), whole[:200] + bytes(200) + whole[400:], whole[:-40]]
    ):
        (tmp_path / f"{number}.tif").write_bytes(content)
        with suppress(PhotoError):
            open_upright(tmp_path / f"{number}.tif")
    assert capfd.readouterr().err == ""


def test_an_unreadable_exif_does_not_fail_the_photo(tmp_path: Path) -> None:
    _corners().save(tmp_path / "a.jpg", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert _reads_as_corners(open_upright(tmp_path / "a.jpg"))


@pytest.mark.parametrize(
    "error", [TypeError("x"), RecursionError("x"), AttributeError("x"), OSError("x"), KeyError("x")]
)
def test_any_error_of_a_decoder_is_a_photo_error(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _corners().save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(PhotoError, match=re.escape(str(tmp_path / "a.png"))):
        open_upright(tmp_path / "a.png")


def _swapping_profile(name: bytes) -> bytes:
    """Make a profile under which red is green and green red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    offsets = {
        bytes(profile[at : at + 4]): at
        for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)
    }
    red, green = offsets[b"rXYZ"] + 4, offsets[b"gXYZ"] + 4
    profile[red : red + 4], profile[green : green + 4] = (
        profile[green : green + 4],
        profile[red : red + 4],
    )
    if name:
        at = int.from_bytes(profile[offsets[b"desc"] + 4 : offsets[b"desc"] + 8], "big")
        text = name.decode().encode("utf-16-be")
        start = at + int.from_bytes(profile[at + 24 : at + 28], "big")
        profile[start : start + len(text)] = text
    return bytes(profile)


def test_only_the_profile_of_xyb_is_applied(tmp_path: Path) -> None:
    red = Image.new("RGB", (64, 64), (220, 20, 20))
    red.save(tmp_path / "wide.jpg", quality=95, icc_profile=_swapping_profile(b""))
    red.save(tmp_path / "xyb.jpg", quality=95, icc_profile=_swapping_profile(b"XYB"))
    kept = open_upright(tmp_path / "wide.jpg").getpixel((9, 9))
    converted = open_upright(tmp_path / "xyb.jpg").getpixel((9, 9))
    assert kept[0] > 200  # type: ignore[index]
    assert kept[1] < 40  # type: ignore[index]
    assert converted[1] > converted[0] + 100  # type: ignore[index]
