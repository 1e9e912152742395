"""Loading a photo for a model: opened, and resized to the pixel budget.

Photos leave this module resized to multiples of 32, so that no engine's own loader or resize
changes the pixels that its model sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from PIL import Image

from shenhe.geometry import Size
from shenhe.locations import Location, open_location
from shenhe.messages import PhotoSize
from shenhe.photos.decoding import photo_wall
from shenhe.photos.kinds import identify
from shenhe.photos.opening import OpenPhoto, decoded
from shenhe.photos.raster import Raster
from shenhe.photos.sizing import PixelBudget, resize_raster

COMMON_KINDS: Final = frozenset({"JPEG", "PNG", "WEBP", "BMP"})
"""Kinds that every reader decodes."""
HASH_BYTES: Final = 1 << 20
"""A file is read in blocks of this many bytes to be compared."""


@dataclass(frozen=True, slots=True)
class LoadedPhoto:
    """A photo as the model sees it: RGB, upright, sides multiples of 32. Units: pixels.

    `as_stored` says that every other reader of the file sees exactly these pixels.

        photo = load(path, PixelBudget())
        photo.image.size == photo.sizes.resized_wh
    """

    raster: Raster
    sizes: PhotoSize
    as_stored: bool

    @property
    def image(self) -> Image.Image:
        """The pixels as an image; `raster.array` has them without a copy."""
        return self.raster.image


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file of a photo that is open to be read; one in a store was fetched whole.

    Example:
        with opened(path) as file:
            photo = kept.get(file.content_hash()) or file.load(budget)

    """

    path: Location
    _file: BinaryIO

    def content_hash(self) -> str:
        """Compute what `PhotoFacts.content_hash` is of it, without decoding it.

        Raises: PhotoError for a file that is no photo.
        """
        with photo_wall(self.path):
            identify(self.path, self._file)
            self._file.seek(0)
            digest = hashlib.sha256()
            while block := self._file.read(HASH_BYTES):
                digest.update(block)
            return digest.hexdigest()

    def load(self, budget: PixelBudget) -> LoadedPhoto:
        """Decode it upright and resize it to the budget.

        Raises: PhotoError, see `load`.
        """
        with decoded(self.path, self._file, budget) as photo:
            size = budget.fit(photo.original)
            resized = resize_raster(photo.raster, size)
            smaller = min(photo.raster, resized, key=lambda raster: raster.area)
            sizes = PhotoSize(photo.original, size, photo.facts_of(smaller.image))
            return LoadedPhoto(resized, sizes, _as_stored(photo, size))


@contextmanager
def opened(path: Location) -> Iterator[PhotoFile]:
    """Open the file of a photo, to be decoded or not.

    Example:
        with opened(path) as file:
            file.content_hash()

    Raises: PhotoError with code missing or unreadable.

    """
    with ExitStack() as stack:
        with photo_wall(path):
            file = stack.enter_context(open_location(path))
        yield PhotoFile(path, file)


def load(path: Location, budget: PixelBudget) -> LoadedPhoto:
    """Open a photo upright and resize it to the budget.

        load(path, PixelBudget(max_pixels=640 * 640)).sizes.original_wh

    Raises: PhotoError with code missing, unreadable, empty, not_a_photo, unsupported, truncated,
    too_large, too_long or out_of_memory.
    """
    with opened(path) as file:
        return file.load(budget)


def _as_stored(photo: OpenPhoto, size: Size) -> bool:
    """Whether readers that decode fewer kinds see the pixels that the model is to see."""
    encoding = photo.encoding
    return (
        encoding.kind in COMMON_KINDS
        and encoding.plain
        and not encoding.rotated
        and not encoding.damaged_inside
        and photo.original == size
    )
