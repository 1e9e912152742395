"""Pixels of a HEIC in the decoder's own memory: Pillow's plugin would copy them twice."""

from __future__ import annotations

import io

import numpy as np
import pillow_heif
from numpy.typing import NDArray


class _Lent:
    """Memory of a decoded picture, which lives as long as an array of it."""

    def __init__(self, picture: pillow_heif.HeifImage) -> None:
        self._picture = picture
        own = np.asarray(picture)
        # torch warns of memory that may not be written; nothing here writes to it.
        self.__array_interface__ = own.__array_interface__ | {"data": (own.ctypes.data, False)}


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode the photo of a HEIC in RGB with eight bits a colour, turned as its boxes say.

    libheif decodes its tiles in several threads.
    Shape: (height, width, 3).
    Raises: the errors of pillow-heif.
    """
    file = pillow_heif.open_heif(io.BytesIO(data))
    picture = file[file.primary_index]
    picture.load()
    width, height = picture.size  # its header may tell another size
    pixels: NDArray[np.uint8] = np.asarray(_Lent(picture))[:height, :width]
    return pixels
