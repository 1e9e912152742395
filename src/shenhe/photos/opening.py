"""Opens a photo: whole or not at all, upright, in RGB, within the pixel budget.

What leaves here is already resized to multiples of 32, so that no engine's own loader or resize
can make it see other pixels.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Final

from PIL import Image

from shenhe.errors import PhotoError
from shenhe.geometry import Size
from shenhe.locations import Location, absolute, open_location
from shenhe.messages import PhotoSize
from shenhe.photos import jpeg
from shenhe.photos.decoding import decode, open_header, photo_wall, unsupported
from shenhe.photos.kinds import HEAD_BYTES, READ, kind_of
from shenhe.photos.memory import gate
from shenhe.photos.sizing import PixelBudget, drafted, resize
from shenhe.printable import printable

MAX_SOURCE_PIXELS: Final = 200_000_000
"""A larger photo is refused before it is decoded: a decompression bomb, or no photo."""
MAX_SOURCE_BYTES: Final = 1_200_000_000
"""A larger file is refused before it is read: more than the most pixels take."""
MAX_ASPECT: Final = 200
HEADER_BYTES: Final = 1 << 20
"""A JPEG says within so many bytes of what variant it is."""
ON_ITS_SIDE: Final = range(5, 9)
"""Orientations of EXIF by which width and height change places."""
EVERYBODY_READS: Final = frozenset({"JPEG", "PNG", "WEBP", "BMP"})
BYTES_A_PIXEL: Final = 8
"""What a photo takes while it is opened: decoded, turned, and in the decoder's own buffers."""


@dataclass(frozen=True, slots=True)
class LoadedPhoto:
    """A photo as the model sees it. Units: RGB, upright, sides multiples of 32.

    `as_stored` says that any reader of its file sees these pixels, and no other.
    """

    image: Image.Image
    sizes: PhotoSize
    as_stored: bool


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """How a photo is stored: its kind by its bytes, whether its EXIF says to turn it, its damage.

    `damaged_inside` is what the decoder says of data that make no sense, empty where all is well;
    `plain` whether it is stored in the colours that are seen.
    """

    kind: str
    rotated: bool
    damaged_inside: str = ""
    plain: bool = False


@dataclass(slots=True)
class _Opened:
    """A photo while memory is held for it; then its image is gone from here."""

    image: Image.Image
    original: Size
    facts: PhotoFacts


def unique_stem(path: Location, seen_with: str = "") -> str:
    """Name a photo where photos of many folders lie together: those of one name stay apart.

    So does one photo that is `seen_with` others: that is the key of the photos seen together.
    """
    whole = absolute(path)
    name = f"{whole}\x1e{seen_with}" if seen_with else str(whole)
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{printable(path.stem)[:80]}-{digest[:8]}"


def load(path: Location, budget: PixelBudget) -> LoadedPhoto:
    """Open a photo upright and resized to the budget.

    Raises: PhotoError with code missing, unreadable, empty, not_a_photo, unsupported, truncated,
    too_large, too_long or out_of_memory.
    """
    with _open(path, budget) as found:
        size = budget.fit(found.original)
        sizes = PhotoSize(found.original, size, found.facts.damaged_inside)
        return LoadedPhoto(resize(found.image, size), sizes, _as_stored(found, size))


def read_facts(path: Location) -> PhotoFacts:
    """Open a photo, as `load` would, and tell of what kind it is.

    Raises: PhotoError, see `load`.
    """
    with _open(path) as found:
        return found.facts


def preview(path: Location, side: int) -> Image.Image:
    """Open a photo upright, for people to look at. Units: `side` in pixels, of the longer side.

    Raises: PhotoError, see `load`.
    """
    with _open(path, PixelBudget(max_pixels=side * side)) as found:
        found.image.thumbnail((side, side), Image.Resampling.LANCZOS)
        return found.image


def open_upright(path: Location) -> Image.Image:
    """Open a photo in RGB, turned as its EXIF orientation says; of an animation, its first frame.

    Raises: PhotoError, see `load`.
    """
    with _open(path) as found:
        return found.image


def _as_stored(found: _Opened, size: Size) -> bool:
    """Whether other readers, which know fewer kinds, see the pixels that the model is to see."""
    facts = found.facts
    return (
        facts.kind in EVERYBODY_READS
        and facts.plain
        and not facts.rotated
        and not facts.damaged_inside
        and found.original == size
    )


@contextmanager
def _open(path: Location, budget: PixelBudget | None = None) -> Iterator[_Opened]:
    """Open a photo upright, with the size of the original; memory is held for it meanwhile.

    With a budget, a JPEG far above it is decoded at a half, a quarter or an eighth of its size, as
    long as that is still above what it will be resized to.
    """
    with photo_wall(path), open_location(path) as file:
        kind, length = _kind(path, file)
        with photo_wall(path, kind):
            stored = _stored_size(path, kind, file)
            wanted = drafted(stored, budget.fit(stored)) if budget and kind == "JPEG" else stored
            with gate.hold(length + stored.width * stored.height * BYTES_A_PIXEL):
                file.seek(0)
                pixels = decode(path, kind, file.read(), wanted)
                upright = Size(*pixels.image.size)
                if wanted != stored:
                    upright = Size(*stored[::-1]) if pixels.turned in ON_ITS_SIDE else stored
                facts = PhotoFacts(kind, pixels.turned != 1, pixels.damage, pixels.plain)
                found = _Opened(pixels.image, upright, facts)
                del pixels
                try:
                    yield found
                finally:
                    del found.image


def _kind(path: Location, file: BinaryIO) -> tuple[str, int]:
    """Tell of what kind a photo is, and how long its file.

    Raises: PhotoError for what is none, or longer than any.
    """
    length = file.seek(0, io.SEEK_END)
    if not length:
        raise PhotoError("empty", f"{path}: the file is empty")
    file.seek(0)
    head = file.read(HEAD_BYTES)
    kind = kind_of(head)
    if kind in READ:
        if length > MAX_SOURCE_BYTES:
            told = f"{path}: {length:,} bytes are over the limit of {MAX_SOURCE_BYTES:,}"
            raise PhotoError("too_large", told)
        return kind, length
    readable = ", ".join(sorted(READ))
    if kind is not None:
        article = "an" if kind[0] in "AEFHILMOX" or kind == "SVG" else "a"
        told = f"is {article} {kind}, not a photo of a kind that is read ({readable})"
    elif not head.strip(b"\0"):
        told = "begins with nothing but zeros: it was never written, or its place was lost"
    else:
        told = f"is not a photo of a known kind ({readable})"
    raise PhotoError("not_a_photo", f"{path}: {told}")


def _stored_size(path: Location, kind: str, file: BinaryIO) -> Size:
    """Read the size of a photo as it is stored, and decode nothing.

    Raises: PhotoError where it cannot be read, or is too large to; what Pillow raises.
    """
    if kind == "JPEG":
        file.seek(0)
        if variant := jpeg.unsupported(file.read(HEADER_BYTES)):
            raise unsupported(path, variant)
    image = open_header(kind, file)
    size = Size(*image.size)
    if size.width * size.height > MAX_SOURCE_PIXELS:
        raise PhotoError(
            "too_large",
            f"{path}: {size.width}x{size.height} is over the limit of {MAX_SOURCE_PIXELS:,} pixels",
        )
    if max(size) > MAX_ASPECT * max(1, min(size)):
        raise PhotoError("too_long", f"{path}: {size.width}x{size.height} is too long and thin")
    return size
