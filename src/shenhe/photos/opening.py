"""Opens a photo: safely, upright, in RGB, within the pixel budget.

What leaves here is already resized to multiples of 32, so that no engine's own loader or resize
can make it see other pixels.
"""

from __future__ import annotations

import hashlib
import io
import math
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from shenhe.errors import PhotoError
from shenhe.geometry import Size
from shenhe.locations import Location, absolute, opened
from shenhe.printable import printable
from shenhe.records import PhotoSize

FACTOR = 32
"""Patch size x merge size of Qwen3-VL: sides are multiples of this."""
MAX_SOURCE_PIXELS = 200_000_000
"""A larger photo is refused before it is decoded: a decompression bomb, or no photo."""
MAX_ASPECT = 200
DRAFT = 1.5
"""A JPEG is decoded to at least so many times the size that it is resized to. What that changes is
in docs/performance.md: half a step of 255 on average."""
ON_ITS_SIDE = range(5, 9)
"""Orientations of EXIF by which width and height change places."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "HEIF", "TIFF")

# Every kind is known from the start: asked for one by name, Pillow does not load it by itself.
Image.init()
# HEIC is known by its first bytes, whatever the file is called.
pillow_heif.register_heif_opener()
# The limit is enforced below, with a reason code, before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class PixelBudget:
    """The least and the most pixels a photo may have for the model."""

    min_pixels: int = 65_536
    max_pixels: int = 1_003_520

    def fit(self, size_wh: Size) -> Size:
        """Find the size to resize to: multiples of 32, the aspect kept as nearly as can be.

        Source: the resize rule that Qwen3-VL was trained with.
        """
        width, height = size_wh
        w, h = (max(FACTOR, round(side / FACTOR) * FACTOR) for side in (width, height))
        if w * h > self.max_pixels:
            shrink = math.sqrt(width * height / self.max_pixels)
            w, h = (
                max(FACTOR, math.floor(side / shrink / FACTOR) * FACTOR) for side in (width, height)
            )
        elif w * h < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (width * height))
            w, h = (math.ceil(side * grow / FACTOR) * FACTOR for side in (width, height))
        return Size(w, h)


@dataclass(frozen=True, slots=True)
class LoadedPhoto:
    """A photo as the model sees it. Units: RGB, upright, sides multiples of 32."""

    image: Image.Image
    sizes: PhotoSize


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """How a photo is stored: its kind by its bytes, and whether its EXIF says to turn it."""

    kind: str
    turned: bool


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

    Raises: PhotoError with code missing, unreadable, empty, not_a_photo, truncated, too_large or
    too_long.
    """
    image, original = _open(path, budget)
    size = budget.fit(original)
    return LoadedPhoto(resize(image, size), PhotoSize(original, size))


def resize(image: Image.Image, size: Size) -> Image.Image:
    """Resize as training does: bicubic, with antialiasing, in whole numbers.

    By torch, which takes an eighth of Pillow's time, and differs from it in one value of two
    hundred, by one step of 255.
    """
    if image.size == size:
        return image
    import torch  # slow to import, and only models need photos of another size
    from torch.nn.functional import interpolate

    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    pixels = interpolate(pixels, size=(size.height, size.width), mode="bicubic", antialias=True)
    return Image.fromarray(pixels[0].permute(1, 2, 0).contiguous().numpy())


def describe(path: Location) -> PhotoFacts:
    """Open a photo, as `load` would, and tell of what kind it is.

    Raises: PhotoError, see `load`.
    """
    open_upright(path)
    with opened(path) as file, Image.open(file, formats=FORMATS) as image:
        return PhotoFacts(image.format or "", _orientation(image) != 1)


def preview(path: Location, side: int) -> Image.Image:
    """Open a photo upright, for people to look at. Units: `side` in pixels, of the longer side.

    Raises: PhotoError, see `load`.
    """
    image, _ = _open(path, PixelBudget(max_pixels=side * side))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def open_upright(path: Location) -> Image.Image:
    """Open a photo in RGB, turned as its EXIF orientation says; of an animation, its first frame.

    Raises: PhotoError, see `load`.
    """
    return _open(path)[0]


def _open(path: Location, budget: PixelBudget | None = None) -> tuple[Image.Image, Size]:
    """Open a photo upright, and give the size of the original.

    With a budget, a JPEG far above it is decoded at a half, a quarter or an eighth of its size, as
    long as that is still above what it will be resized to.
    """
    try:
        with opened(path) as file, _image(path, file) as image:
            stored = Size(*image.size)
            _refuse_bad_size(path, stored)
            if budget is not None:
                image.draft(image.mode, _drafted(stored, budget.fit(stored)))
            smaller = image.size != stored
            image.load()
            upright = _to_rgb(ImageOps.exif_transpose(image))
            if not smaller:
                return upright, Size(*upright.size)
            return upright, Size(*stored[::-1]) if _orientation(image) in ON_ITS_SIDE else stored
    except FileNotFoundError as error:
        raise PhotoError("missing", f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise PhotoError("not_a_photo", f"{path}: not a photo of a known kind") from error
    except PhotoError:
        raise
    # Decoders report damage in many ways; each of these was seen on damaged files.
    except (SyntaxError, ValueError, EOFError, IndexError, RuntimeError, MemoryError) as error:
        raise PhotoError("truncated", f"{path}: damaged: {error}") from error
    except OSError as error:
        if error.errno is not None:  # the file system's word, not the decoder's
            raise PhotoError("unreadable", f"{path}: {error.strerror}") from error
        raise PhotoError("truncated", f"{path}: damaged: {error}") from error


def _image(path: Location, file: BinaryIO) -> Image.Image:
    if not file.seek(0, io.SEEK_END):
        raise PhotoError("empty", f"{path}: the file is empty")
    return Image.open(file, formats=FORMATS)


def _drafted(stored: Size, wanted: Size) -> tuple[int, int]:
    """Choose the size to decode a JPEG at: a part that divides both sides, else it is stretched."""
    for part in (8, 4, 2):
        smaller = (stored.width // part, stored.height // part)
        if stored.width % part or stored.height % part:
            continue
        if smaller[0] >= DRAFT * wanted.width and smaller[1] >= DRAFT * wanted.height:
            return smaller
    return stored.width, stored.height


def _orientation(image: Image.Image) -> int:
    """Tell how a photo is stored, as EXIF numbers it: 1 is upright."""
    found = image.getexif().get(ExifTags.Base.Orientation, 1)
    return found if found in range(1, 9) else 1


def _refuse_bad_size(path: Location, size: Size) -> None:
    if size.width * size.height > MAX_SOURCE_PIXELS:
        raise PhotoError(
            "too_large",
            f"{path}: {size.width}x{size.height} is over the limit of {MAX_SOURCE_PIXELS:,} pixels",
        )
    if max(size) > MAX_ASPECT * max(1, min(size)):
        raise PhotoError("too_long", f"{path}: {size.width}x{size.height} is too long and thin")


def _to_rgb(image: Image.Image) -> Image.Image:
    """Bring any colour mode to RGB; what is transparent becomes white."""
    if image.mode.startswith(("I;16", "I", "F")):
        values = np.asarray(image, dtype=np.float32)
        # 16-bit photos fill the 16-bit range; keep their own scale, not that of their content.
        top = 255.0 if values.size and values.max() <= 255 else 65535.0
        image = Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")
