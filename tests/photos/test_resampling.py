"""Photos have one set of pixels, whichever library resizes them."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from shenhe.geometry import Size
from shenhe.photos import resize
from shenhe.photos.resampling import resample

assert torch  # where it is loaded, `resize` takes it
SIZES = [
    *((1, 1, 32, 32), (1, 200, 32, 64), (6400, 32, 640, 32), (33, 31, 32, 32), (64, 48, 64, 48)),
    *((2000, 150, 1152, 96), (4001, 300, 640, 320), (5000, 20, 96, 64), (31, 999, 992, 32)),
]


def _same(width: int, height: int, size: Size, *, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    if seed % 2:  # black beside white is where a cubic goes beyond both
        noise = (noise > 127).astype(np.uint8) * 255
    image = Image.fromarray(noise)
    assert "torch" in sys.modules
    return np.array_equal(np.asarray(resize(image, size)), np.asarray(resample(image, size)))


@pytest.mark.parametrize(("width", "height", "to_width", "to_height"), SIZES)
def test_numpy_and_torch_agree_at_the_edges(
    width: int, height: int, to_width: int, to_height: int
) -> None:
    assert _same(width, height, Size(to_width, to_height), seed=width)


def test_numpy_and_torch_agree_at_any_size() -> None:
    rng = np.random.default_rng(7)
    for seed in range(60):
        width, height = map(int, rng.integers(1, 700, 2))
        size = Size(*(32 * int(side) for side in rng.integers(1, 14, 2)))
        assert _same(width, height, size, seed=seed), (width, height, size)


def test_one_colour_stays_that_colour() -> None:
    for colour in (0, 1, 127, 254, 255):
        image = Image.new("RGB", (517, 301), (colour, 255 - colour, colour))
        resized = np.asarray(resample(image, Size(224, 128)))
        assert (resized == (colour, 255 - colour, colour)).all()


def test_torch_writes_pixels_not_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planes would have to be put together again, which takes as long as the resize."""
    results: list[torch.Tensor] = []

    def interpolate(*values: Any, **names: Any) -> torch.Tensor:
        results.append(original(*values, **names))
        return results[-1]

    original = torch.nn.functional.interpolate
    monkeypatch.setattr(torch.nn.functional, "interpolate", interpolate)
    resize(Image.new("RGB", (128, 96)), Size(64, 32))
    (result,) = results
    assert result.permute(0, 2, 3, 1).is_contiguous()
