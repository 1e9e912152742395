"""Whether a photo is a picture of a phone's screen: a rule, measured in docs/photos.md."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shenhe.geometry import Size
from shenhe.photos.exif import Exif

SCREEN_WIDTHS: Final = frozenset(
    (
        *(640, 720, 750, 828, 1080, 1125, 1170, 1176, 1179, 1206, 1220, 1240, 1242, 1260),
        *(1264, 1280, 1284, 1290, 1312, 1316, 1320, 1344, 1440, 1600),
    )
)
"""Shorter sides of phones' screens. Units: pixels."""
MIN_ASPECT: Final = 1.7
MAX_ASPECT: Final = 2.5
"""The longer by the shorter side of such a screen; cameras take 1.33 or 1.78."""
MIN_FLAT: Final = 0.3
"""The least share of the grey copy that is flat: of one value, which no lens sees."""


def is_screenshot(grey: NDArray[np.uint8], kind: str, size: Size, exif: Exif) -> bool:
    """Decide by what stands in the file, by its size, and by flat areas.

    A screenshot has no camera in its EXIF, the size of a screen, and flat areas; one that is no
    PNG needs twice as many of these, since photos are passed on without EXIF too.
    Shape: (height, width) of a grey copy.
    """
    if exif.camera or exif.gps:
        return False
    shorter, longer = sorted(size)
    if shorter not in SCREEN_WIDTHS or not MIN_ASPECT <= longer / shorter <= MAX_ASPECT:
        return False
    return flat_share(grey) >= (MIN_FLAT if kind == "PNG" else 2 * MIN_FLAT)


def flat_share(grey: NDArray[np.uint8]) -> float:
    """Measure the share of pixels that have the value of the pixels beside and below them.

    Shape: (height, width).
    """
    if min(grey.shape) < 2:
        return 0.0
    corner = grey[:-1, :-1]
    return float(((corner == grey[:-1, 1:]) & (corner == grey[1:, :-1])).mean())
