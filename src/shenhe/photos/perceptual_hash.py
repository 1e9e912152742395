"""Perceptual hashes: 64 bits that stay nearly the same when a photo is saved or scaled again.

Each bit tells whether one of the 64 lowest frequencies of the photo (a discrete cosine transform)
is above their median. docs/photos.md has the precision and recall of distances between them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE: Final = 32
"""The side of the square that is transformed. Units: pixels."""
BLOCK: Final = 8
MIN_CONTRAST: Final = 20.0
"""The least median of the frequencies. Below it bits are noise, and all such photos look alike."""
MIX: Final = np.argsort(np.arange(64) % 3, kind="stable")
"""Order of the bits: each third of a hash, by which hashes are found, has all frequencies."""


def _cosines() -> NDArray[np.float32]:
    index = np.arange(SIDE)
    cosines = np.cos(np.pi * (2 * index[None] + 1) * index[:, None] / (2 * SIDE))
    return cosines[: BLOCK + 1].astype(np.float32)


_COSINES: Final = _cosines()


def hash_grey(grey: Image.Image) -> str | None:
    """Hash a grey photo, as 16 hexadecimal digits; None for one without contrast.

    >>> hash_grey(Image.new("L", (256, 192), 90)) is None
    True
    """
    square = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    frequencies = _COSINES @ square @ _COSINES.T
    # Without the first one, which is the mean; one beyond the block fills the 64.
    lowest = np.append(frequencies[:BLOCK, :BLOCK].ravel()[1:], frequencies[0, BLOCK])
    if np.partition(np.abs(lowest), 32)[32] < MIN_CONTRAST:
        return None
    bits = (lowest > np.partition(lowest, 31)[31])[MIX]
    return np.packbits(bits).tobytes().hex()


def distance(one: str, another: str) -> int:
    """Count the bits in which two hashes differ.

    >>> distance("00000000000000ff", "000000000000000f")
    4
    """
    return (int(one, 16) ^ int(another, 16)).bit_count()
