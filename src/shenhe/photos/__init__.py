"""The only package that opens images: complete or refused, upright, in RGB, within a pixel budget.

`kinds` identifies a file by its first bytes, `opening` opens it, `decoding` decodes it, `loading`
loads it for a model, `sizing` resizes it; `jpeg`, `heic` and `completeness` detect missing and
damaged data; `facts` measures what is told beside the model; `memory` bounds the memory of all
photos that are open.
"""

from shenhe.photos.kinds import SUFFIXES, is_photo, kind_of
from shenhe.photos.loading import LoadedPhoto, load
from shenhe.photos.opening import (
    PhotoEncoding,
    StoredSize,
    open_upright,
    preview,
    read_encoding,
    read_facts,
    read_stored_size,
    unique_stem,
)
from shenhe.photos.sizing import PixelBudget, resize

__all__ = [
    "SUFFIXES",
    "LoadedPhoto",
    "PhotoEncoding",
    "PixelBudget",
    "StoredSize",
    "is_photo",
    "kind_of",
    "load",
    "open_upright",
    "preview",
    "read_encoding",
    "read_facts",
    "read_stored_size",
    "resize",
    "unique_stem",
]
