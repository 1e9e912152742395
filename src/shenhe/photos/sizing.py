"""Which size a photo is given, and bringing it to that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from shenhe.geometry import Size

FACTOR: Final = 32
"""Patch size x merge size of Qwen3-VL: sides are multiples of this."""
DRAFT: Final = 1.5
"""A JPEG is decoded to at least so many times the size that it is resized to. What that changes is
in docs/performance.md: half a step of 255 on average."""


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """The least and the most pixels a photo may have for the model."""

    min_pixels: int = 65_536
    max_pixels: int = 1_003_520

    def fit(self, size_wh: Size) -> Size:
        """Find the size to resize to: multiples of 32, the aspect kept as nearly as can be.

        Source: the resize rule that Qwen3-VL was trained with.
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


def drafted(stored: Size, wanted: Size) -> Size:
    """Choose the size to decode a JPEG at: a part that divides both sides, else it is stretched."""
    for part in (8, 4, 2):
        smaller = Size(stored.width // part, stored.height // part)
        if stored.width % part or stored.height % part:
            continue
        if smaller.width >= DRAFT * wanted.width and smaller.height >= DRAFT * wanted.height:
            return smaller
    return stored


def resize(image: Image.Image, size: Size) -> Image.Image:
    """Resize as training does: bicubic, with antialiasing, in whole numbers.

    By torch, which takes an eighth of Pillow's time, and differs from it in one value of two
    hundred, by one step of 255.
    """
    if image.size == size:
        return image
    import torch  # slow to import, and only models need photos of another size
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    pixels = interpolate(pixels, size=(size.height, size.width), mode="bicubic", antialias=True)
    return Image.fromarray(pixels[0].permute(1, 2, 0).contiguous().numpy())
