"""The size of a photo for the model, and resizing to it."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shenhe.geometry import Size
from shenhe.photos.raster import Raster
from shenhe.photos.resampling import resample

FACTOR: Final = 32
"""Patch size x merge size of Qwen3-VL: sides are multiples of this."""
DRAFT_SCALE: Final = 1.5
"""Smallest ratio of the decoded to the resized sides of a JPEG. The effect on pixels is measured in
docs/performance.md: half a step of 255 on average."""


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """Bounds of the pixels of a resized photo.

    Example:
        PixelBudget(max_pixels=1024 * 1024).fit(Size(4000, 3000)) == Size(1152, 864)

    """

    min_pixels: int = 65_536
    max_pixels: int = 1_003_520

    def fit(self, size_wh: Size) -> Size:
        """Find the size to resize to: multiples of 32, with the aspect ratio kept.

        Source: the resize rule that Qwen3-VL was trained with (`smart_resize` in transformers).
        """
        width, height = size_wh
        w, h = (max(FACTOR, round(side / FACTOR) * FACTOR) for side in (width, height))
        if w * h > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            w, h = (
                max(FACTOR, math.floor(side / shrink / FACTOR) * FACTOR) for side in (width, height)
            )
        elif w * h < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            w, h = (math.ceil(side * grow / FACTOR) * FACTOR for side in (width, height))
        return Size(w, h)


def draft_size(stored: Size, target: Size) -> Size:
    """Choose the size to decode a JPEG at: a fraction that divides both sides without remainder.

    With a remainder the decoder would stretch the photo.
    """
    for divisor in (8, 4, 2):
        smaller = Size(stored.width // divisor, stored.height // divisor)
        if stored.width % divisor or stored.height % divisor:
            continue
        if (
            smaller.width >= DRAFT_SCALE * target.width
            and smaller.height >= DRAFT_SCALE * target.height
        ):
            return smaller
    return stored


def resize(photo: Image.Image | Raster, size: Size) -> Image.Image:
    """Resize as in training: bicubic with antialiasing, in integers.

    The pixels are torch's, whichever library makes them. Pillow's differ in one value of two
    hundred, by one step of 255.

        resize(image, Size(640, 512)).size == (640, 512)
    """
    return resize_raster(photo if isinstance(photo, Raster) else Raster(photo), size).image


def resize_raster(photo: Raster, size: Size) -> Raster:
    """Resize as `resize` does; an image is made only where one is asked for.

    Example:
        patches.cut(resize_raster(photo, Size(640, 512)).array)

    """
    if photo.size == size:
        return photo
    # A third of the time where a model runs here anyway; elsewhere it is not worth its import.
    if sys.modules.get("torch"):
        return Raster(_by_torch(photo.array, size))
    return Raster(resample(photo.image, size))


def _by_torch(array: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Shape: (height, width, 3), in and out."""
    import torch
    from torch.nn.functional import interpolate

    # A batch of one before its channels move: otherwise torch does not see that they lie together,
    # and writes planes, which take as long to be put together again as the resize.
    pixels = torch.from_numpy(array)[None].permute(0, 3, 1, 2)
    pixels = interpolate(pixels, size=(size.height, size.width), mode="bicubic", antialias=True)
    resized: NDArray[np.uint8] = pixels[0].permute(1, 2, 0).contiguous().numpy()
    return resized
