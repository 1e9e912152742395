"""The one place that opens an image: safely, upright, in RGB, within the pixel budget.

`kinds` tells what a file is by its first bytes, `opening` opens it.
"""

from shenhe.photos.kinds import SUFFIXES, is_photo, kind_of
from shenhe.photos.opening import (
    LoadedPhoto,
    PhotoFacts,
    PixelBudget,
    describe,
    load,
    open_upright,
    preview,
    resize,
    unique_stem,
)

__all__ = [
    "SUFFIXES",
    "LoadedPhoto",
    "PhotoFacts",
    "PixelBudget",
    "describe",
    "is_photo",
    "kind_of",
    "load",
    "open_upright",
    "preview",
    "resize",
    "unique_stem",
]
