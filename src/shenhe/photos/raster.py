"""Pixels of a photo, as the decoder left them and as an image.

Pillow keeps a fourth byte beside each pixel: from a decoder's array to its image and back takes as
long for a large photo as resizing it three times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shenhe.geometry import Size


class Raster:
    """Upright pixels in RGB: an array or an image; the other is made when it is asked for.

    Example:
        Raster(np.zeros((480, 640, 3), np.uint8)).size == (640, 480)

    """

    def __init__(self, pixels: NDArray[np.uint8] | Image.Image) -> None:
        """Shape: pixels (height, width, 3)."""
        self._image: Image.Image | None = None
        self._array: NDArray[np.uint8] | None = None
        if isinstance(pixels, Image.Image):
            self._image = pixels
        else:
            self._array = pixels

    @property
    def size(self) -> Size:
        """The size of the photo, in pixels."""
        if self._array is not None:
            return Size(self._array.shape[1], self._array.shape[0])
        return Size(*self.image.size)

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.size.width * self.size.height

    @property
    def image(self) -> Image.Image:
        """The pixels as an image, always the same one."""
        if self._image is None:
            self._image = Image.fromarray(self.array)
        return self._image

    @property
    def array(self) -> NDArray[np.uint8]:
        """The pixels as an array. Shape: (height, width, 3)."""
        return np.array(self.image) if self._array is None else self._array
