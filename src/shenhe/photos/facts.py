"""Facts of a photo from the pixels that are decoded anyway: how sharp, how bright, how it looks.

They never fail a photo: what cannot be told is None.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shenhe.geometry import Size
from shenhe.messages import PhotoFacts
from shenhe.photos.decoding import Metadata, profile_description
from shenhe.photos.exif import read_exif
from shenhe.photos.perceptual_hash import hash_grey
from shenhe.photos.screenshots import is_screenshot

GREY_SIDE: Final = 256
"""The longer side of the grey copy of which facts are taken. Units: pixels."""
MAX_PROFILE_NAME: Final = 64
SIGNIFICANT_DIGITS: Final = 4


def measure(
    image: Image.Image, metadata: Metadata, data: bytes, kind: str, original: Size
) -> PhotoFacts:
    """Take the facts of a photo of which `image` is an upright copy at any size.

    Example:
        facts = measure(image, pixels.metadata, data, "JPEG", Size(*image.size))

    """
    exif, grey = read_exif(metadata.exif), grey_copy(image)
    values = np.asarray(grey)
    return PhotoFacts(
        damaged_inside=metadata.damage or None,
        content_hash=hashlib.sha256(data).hexdigest(),
        perceptual_hash=hash_grey(grey),
        captured_at=exif.captured_at,
        gps=exif.gps,
        camera=exif.camera,
        sharpness=_rounded(sharpness(values)),
        brightness=_rounded(float(values.mean())),
        screenshot=is_screenshot(values, kind, original, exif),
        colour_profile=_profile_name(metadata.profile),
    )


def grey_copy(image: Image.Image) -> Image.Image:
    """Make the grey copy of a photo: averages of areas, or of single pixels of a small photo.

    Noise is averaged out, so that copies of one photo at several sizes look alike.

        max(grey_copy(image).size) == GREY_SIDE
    """
    factor = max(image.size) // GREY_SIDE
    small = image.reduce(factor) if factor > 1 else image
    scale = GREY_SIDE / max(small.size)
    size = [max(1, round(side * scale)) for side in small.size]
    return small.convert("L").resize((size[0], size[1]), Image.Resampling.BOX)


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Measure the variance of the Laplacian, as a multiple of that of the values themselves.

    So it does not depend on how bright the photo is. 0 for one without an inner pixel.
    Shape: (height, width).
    """
    if min(grey.shape) < 3:
        return 0.0
    values = grey.astype(np.int16)
    laplacian = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]
    laplacian -= 4 * values[1:-1, 1:-1]
    return float(laplacian.var() / max(float(values.var()), 1.0))


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _profile_name(profile: bytes) -> str | None:
    text = profile_description(profile).decode("latin-1")
    name = "".join(letter for letter in text if letter.isprintable()).strip()
    return name[:MAX_PROFILE_NAME] or None
