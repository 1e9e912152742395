"""A HEIC decoded to the decoder's own memory has the pixels that Pillow's plugin gives."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image

from shenhe.photos import PixelBudget, heic_pixels, load, open_upright

Options = dict[str, int]
FORMS: dict[str, tuple[tuple[int, int], str, Options]] = {
    "in one piece": ((320, 224), "RGB", {}),
    "of tiles": ((600, 300), "RGB", {"tile_size": 256}),
    "of an odd width": ((331, 217), "RGB", {}),
    "turned by its boxes": ((320, 224), "RGB", {"orientation": 6}),
    "mirrored by its boxes": ((224, 320), "RGB", {"orientation": 5}),
    "of ten bits": ((160, 128), "RGB;16", {}),
    "in grey": ((160, 128), "L", {}),
    "with transparency": ((160, 128), "RGBA", {}),
}


def _write(path: Path, name: str) -> Path:
    (width, height), mode, options = FORMS[name]
    channels = {"L": 1, "RGBA": 4}.get(mode, 3)
    coarse = np.random.default_rng(1).integers(0, 256, (9, 9, channels), np.uint8)
    planes = [Image.fromarray(coarse[..., channel]) for channel in range(channels)]
    smooth = np.stack([np.asarray(plane.resize((width, height))) for plane in planes], axis=-1)
    if mode == "RGB;16":
        values = (smooth.astype(np.uint16) << 8).tobytes()
        pillow_heif.from_bytes(mode, (width, height), values).save(path, quality=80)
        return path
    image = Image.fromarray(smooth[..., 0] if mode == "L" else smooth, mode)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = options.get("orientation", 1)
    image.save(path, quality=80, exif=exif.tobytes(), tile_size=options.get("tile_size", 0))
    return path


@pytest.mark.parametrize("name", FORMS)
def test_pixels_are_those_of_pillows_plugin(name: str, tmp_path: Path) -> None:
    path = _write(tmp_path / "photo.heic", name)
    with Image.open(path) as plugin:
        image = plugin.convert("RGBA") if plugin.mode == "RGBA" else plugin.convert("RGB")
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image).convert("RGB")
    opened = open_upright(path)
    assert opened.size == image.size
    assert np.array_equal(np.asarray(opened), np.asarray(image))
    image.save(tmp_path / "photo.png")
    budget = PixelBudget(max_pixels=256 * 256)
    heic, png = (load(path.with_suffix(suffix), budget) for suffix in (".heic", ".png"))
    assert np.array_equal(np.asarray(heic.image), np.asarray(png.image))
    assert heic.sizes.original_wh == png.sizes.original_wh


def test_pixels_outlive_the_file_they_were_decoded_from(tmp_path: Path) -> None:
    first, second = (_write(tmp_path / f"{name}.heic", name) for name in ("of tiles", "in grey"))
    pixels = heic_pixels.decode(first.read_bytes())
    before = pixels.copy()
    gc.collect()
    for _ in range(5):
        open_upright(second)
    assert np.array_equal(pixels, before)
