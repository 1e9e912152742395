"""Opening a photo: complete or refused, upright, in RGB."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Final, NamedTuple

from PIL import Image

from shenhe.errors import PhotoError
from shenhe.geometry import Size
from shenhe.locations import Location, absolute, open_location
from shenhe.messages import PhotoFacts
from shenhe.photos import jpeg
from shenhe.photos.decoding import decode, exif_orientation, open_header, photo_wall, unsupported
from shenhe.photos.facts import measure
from shenhe.photos.kinds import identify
from shenhe.photos.memory import memory_budget
from shenhe.photos.raster import Raster
from shenhe.photos.sizing import PixelBudget, draft_size
from shenhe.printable import printable

MAX_SOURCE_PIXELS: Final = 200_000_000
"""Limit checked before decoding: a larger photo is a decompression bomb or no photo."""
MAX_ASPECT: Final = 200
HEADER_BYTES: Final = 1 << 20
"""Bytes of a JPEG that are searched for its variant."""
SIDEWAYS: Final = range(5, 9)
"""EXIF orientations that swap width and height."""
FACTS_BUDGET: Final = PixelBudget(max_pixels=512 * 512)
"""The size at which a photo is decoded for its facts alone."""
JPEG_BYTES: Final = 8
OTHER_BYTES: Final = 16
"""Memory of a pixel while a photo is opened: decoded, converted, transposed, resized, and the
decoder's own buffers. Other kinds are decoded whole, and may have transparency or 16 bits."""


@dataclass(frozen=True, slots=True)
class PhotoEncoding:
    """How a photo is stored: its kind, whether its EXIF rotates it, and the damage inside.

    `damaged_inside` is the decoder's message about inconsistent data, empty for an intact photo;
    `plain` says that the file stores RGB without conversion.

        PhotoEncoding("JPEG", rotated=False, plain=True)
    """

    kind: str
    rotated: bool
    damaged_inside: str = ""
    plain: bool = False


class StoredSize(NamedTuple):
    """The size of a photo as it is stored, in pixels, and its EXIF orientation: 1 is upright.

    >>> StoredSize(Size(640, 480), 6).upright
    Size(width=480, height=640)
    """

    stored: Size
    orientation: int

    @property
    def upright(self) -> Size:
        """The size of the upright photo."""
        return Size(*self.stored[::-1]) if self.orientation in SIDEWAYS else self.stored


@dataclass(slots=True)
class OpenPhoto:
    """A photo whose memory is reserved; its pixels are deleted when the reservation ends.

    Example:
        with decoded(path, file, budget) as photo:
            resize(photo.raster, budget.fit(photo.original))

    """

    raster: Raster
    original: Size
    encoding: PhotoEncoding
    facts_of: Callable[[Image.Image], PhotoFacts]
    """Takes its facts of a copy of it, at any size."""


def unique_stem(path: Location, seen_with: str = "") -> str:
    """Make a file stem that is unique among photos of all folders.

    `seen_with` is the key of the photos in the same prompt: one photo in two prompts has two stems.

        unique_stem(Path("/a/1.jpg")) == "1-646ec31b"
    """
    full_path = absolute(path)
    name = f"{full_path}\x1e{seen_with}" if seen_with else str(full_path)
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{printable(path.stem)[:80]}-{digest[:8]}"


def read_facts(path: Location, max_pixels: int = MAX_SOURCE_PIXELS) -> PhotoFacts:
    """Decode a photo at the least size that its facts need, and return them.

    One of more than `max_pixels` is refused by its head.

        read_facts(path).perceptual_hash

    Raises: PhotoError, see `loading.load`.
    """
    with _open(path, FACTS_BUDGET, max_pixels) as photo:
        return photo.facts_of(photo.raster.image)


def read_stored_size(path: Location) -> StoredSize:
    """Read the size of a photo, mostly without decoding it.

        read_stored_size(path).upright == Size(3000, 4000)

    Raises: PhotoError, see `loading.load`.
    """
    with photo_wall(path), open_location(path) as file:
        kind, _ = identify(path, file)
        with photo_wall(path, kind):
            size = _stored_size(path, kind, file)
            file.seek(0)
            # The EXIF of a PNG may follow its pixels, which are decoded then.
            with memory_budget.reserve(_bytes_of(size, kind) if kind == "PNG" else 0):
                return StoredSize(size, exif_orientation(open_header(kind, file)))


def read_encoding(path: Location) -> PhotoEncoding:
    """Decode a photo as `loading.load` does, and return how it is stored.

        read_encoding(path).kind in READABLE

    Raises: PhotoError, see `loading.load`.
    """
    with _open(path) as photo:
        return photo.encoding


def preview(path: Location, side: int) -> Image.Image:
    """Open a photo upright at the size of a screen. Units: `side` in pixels, of the longer side.

        max(preview(path, 480).size) <= 480

    Raises: PhotoError, see `loading.load`.
    """
    with _open(path, PixelBudget(max_pixels=side * side)) as photo:
        image = photo.raster.image
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=1.0)
        return image


def open_upright(path: Location) -> Image.Image:
    """Open a photo at full size, upright and in RGB; the first frame of an animation.

        open_upright(path).mode == "RGB"

    Raises: PhotoError, see `loading.load`.
    """
    with _open(path) as photo:
        return photo.raster.image


@contextmanager
def _open(
    path: Location, budget: PixelBudget | None = None, max_pixels: int = MAX_SOURCE_PIXELS
) -> Iterator[OpenPhoto]:
    """Open a photo and decode it; see `decoded`."""
    with (
        photo_wall(path),
        open_location(path) as file,
        decoded(path, file, budget, max_pixels) as photo,
    ):
        yield photo


@contextmanager
def decoded(
    path: Location,
    file: BinaryIO,
    budget: PixelBudget | None,
    max_pixels: int = MAX_SOURCE_PIXELS,
) -> Iterator[OpenPhoto]:
    """Decode a photo upright, with its memory reserved for the body of the `with`.

    With a budget, a JPEG far above it is decoded at a half, a quarter or an eighth of its size, if
    that is still larger than its resized size.

    Raises: PhotoError, see `loading.load`.
    """
    with photo_wall(path):
        kind, length = identify(path, file)
        with photo_wall(path, kind):
            stored = _stored_size(path, kind, file, max_pixels)
            target = draft_size(stored, budget.fit(stored)) if budget and kind == "JPEG" else stored
            with memory_budget.reserve(length + _bytes_of(stored, kind)):
                file.seek(0)
                data = file.read(length)  # not to its end, which would join two parts
                pixels = decode(path, kind, data, target)
                upright = StoredSize(stored, pixels.orientation).upright
                original = pixels.raster.size if target == stored else upright
                rotated = pixels.orientation != 1
                encoding = PhotoEncoding(kind, rotated, pixels.metadata.damage, pixels.plain)
                facts_of = partial(
                    measure, metadata=pixels.metadata, data=data, kind=kind, original=original
                )
                photo = OpenPhoto(pixels.raster, original, encoding, facts_of)
                del pixels, data, facts_of
                try:
                    yield photo
                finally:
                    del photo.raster, photo.facts_of


def _bytes_of(size: Size, kind: str) -> int:
    return size.width * size.height * (JPEG_BYTES if kind == "JPEG" else OTHER_BYTES)


def _stored_size(
    path: Location, kind: str, file: BinaryIO, max_pixels: int = MAX_SOURCE_PIXELS
) -> Size:
    """Read the stored size of a photo without decoding it.

    Raises: PhotoError for an unsupported variant or a size over a limit; the errors of Pillow's
    plugins.
    """
    if kind == "JPEG":
        file.seek(0)
        if variant := jpeg.unsupported(file.read(HEADER_BYTES)):
            raise unsupported(path, variant)
    image = open_header(kind, file)
    size = Size(*image.size)
    if size.width * size.height > max_pixels:
        raise PhotoError(
            "too_large",
            f"{path}: {size.width}x{size.height} is over the limit of {max_pixels:,} pixels",
        )
    if max(size) > MAX_ASPECT * max(1, min(size)):
        raise PhotoError("too_long", f"{path}: {size.width}x{size.height} is too long and thin")
    return size
