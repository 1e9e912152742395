"""The one place that opens an image: whole or not at all, upright, in RGB, within the pixel budget.

`kinds` tells what a file is by its first bytes, `opening` opens it, `decoding` makes pixels
of it; `jpeg`, `boxes` (HEIC) and `wholeness` find what is missing or damaged; `memory` bounds it.
"""

from shenhe.photos.kinds import SUFFIXES, is_photo, kind_of
from shenhe.photos.opening import (
    LoadedPhoto,
    PhotoFacts,
    load,
    open_upright,
    preview,
    read_facts,
    unique_stem,
)
from shenhe.photos.sizing import PixelBudget, resize

__all__ = [
    "SUFFIXES",
    "LoadedPhoto",
    "PhotoFacts",
    "PixelBudget",
    "is_photo",
    "kind_of",
    "load",
    "open_upright",
    "preview",
    "read_facts",
    "resize",
    "unique_stem",
]
