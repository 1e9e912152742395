"""From a photo's bytes to its pixels: whole, or an error of its own; upright, and in RGB.

Colour: profiles are not applied, as in training, where photos are read without them. Two kinds
would show other colours altogether and are converted: CMYK, and XYB by the profile it comes with.
"""

from __future__ import annotations

import ctypes
import errno
import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageCms, ImageFile

from shenhe.errors import PhotoError, item_wall
from shenhe.geometry import Size
from shenhe.locations import Location
from shenhe.photos import jpeg
from shenhe.photos.completeness import COMPRESSION, check_tiff_directory, check_whole
from shenhe.photos.heic import TruncatedError, check_heic

PLUGINS: Final = {"HEIC": "HEIF"}
"""Kinds that Pillow knows by another name."""
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a photo upright, by the orientation of its EXIF."""
_CANNOT: Final = re.compile(
    r"unsupported (?!marker)|not supported|not implemented|not available|not configured"
    r"|cannot handle|unknown (pixel|raw|image|data|compression) |unrecognized image mode",
    re.IGNORECASE,
)
"""Decoders' words for what they cannot read, damaged or not."""
BLOCK_BYTES: Final = 1 << 26
_NO_MEMORY: Final = re.compile(
    r"(not|can't|cannot) (enough|allocate) memory|out of memory|memory allocation", re.IGNORECASE
)
_TIFF_READ: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})
"""Compressions of TIFF that are read."""

# Every kind is known from the start: asked for one by name, Pillow does not load it by itself.
Image.init()
# Nothing but the photo itself is decoded: a small one beside it may be whole where it is not.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
# The limit is enforced by `opening`, with a reason code, before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None
# Pixels of a large photo go back to the system at once; threads keep some of blocks below 32 MB.
Image.core.set_block_size(BLOCK_BYTES)  # type: ignore[attr-defined]
# Remarks of Pillow's on what it passes over in a photo name no photo.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _silence_libtiff() -> None:
    """Keep libtiff from writing to stderr: its lines name no photo, and come from any thread.

    Pillow has no switch for it; what goes wrong it raises. Where libtiff cannot be reached, being
    a part of Pillow's own module, it goes on writing.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            handler = getattr(library, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


_silence_libtiff()


@dataclass(frozen=True, slots=True)
class Pixels:
    """A photo upright and in RGB, perhaps decoded smaller, and what was found damaged in it.

    `turned` is its orientation as it is stored, as EXIF numbers it; `plain` says that it is stored
    in these very colours, so that no reader can see others.
    """

    image: Image.Image
    turned: int
    damage: str
    plain: bool


@contextmanager
def photo_wall(path: Location, kind: str = "") -> Iterator[None]:
    """Turn whatever opening and decoding a photo raises into a PhotoError that names it."""
    with item_wall("unreadable", path, PhotoError):
        try:
            yield
        except FileNotFoundError as error:
            raise PhotoError("missing", f"{path}: no such file") from error
        except TruncatedError as error:
            raise PhotoError("truncated", f"{path}: cut short: {error}") from error
        # Decoders report damage in many ways; each of these was seen on damaged files.
        except (SyntaxError, ValueError, EOFError, LookupError, RuntimeError) as error:
            raise _decoder_error(path, kind, error) from error
        except OSError as error:
            # The decoder's word, not the file system's; or it was sent before the file's beginning.
            if error.errno is None or (kind and error.errno == errno.EINVAL):
                raise _decoder_error(path, kind, error) from error
            raise PhotoError("unreadable", f"{path}: {error.strerror}") from error


def _decoder_error(path: Location, kind: str, error: Exception) -> PhotoError:
    said = " ".join(str(error).split())
    if _NO_MEMORY.search(said):
        return PhotoError("out_of_memory", f"{path}: not enough memory: {said}")
    if _CANNOT.search(said):
        return PhotoError("unsupported", f"{path}: a {kind} of a kind that is not read: {said}")
    return PhotoError("truncated", f"{path}: damaged: {said or type(error).__name__}")


def open_header(kind: str, file: BinaryIO) -> Image.Image:
    """Open a photo of a kind without decoding it, so that the decoder's own words are heard.

    Raises: what Pillow raises; TruncatedError.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library may have thought otherwise
    if kind == "HEIC":
        file.seek(0)
        check_heic(file.read())
    compression = check_tiff_directory(file) if kind == "TIFF" else 1
    file.seek(0)
    factory, _ = Image.OPEN[PLUGINS.get(kind, kind)]
    try:
        return factory(file, "")
    except SyntaxError as error:
        if compression in _TIFF_READ:
            raise
        raise NotImplementedError(f"compression {compression} is not supported") from error


def decode(path: Location, kind: str, data: bytes, wanted: Size | None) -> Pixels:
    """Decode a photo; a JPEG at the size `wanted` where one is given, a part of its own.

    Raises: PhotoError, see `opening.load`; what Pillow raises.
    """
    with open_header(kind, io.BytesIO(data)) as image:
        stored = Size(*image.size)
        damage = check_heic(data) if kind == "HEIC" else check_whole(kind, data, image)
        if kind == "JPEG":
            decoded = jpeg.decode(data, image.mode, stored, wanted or stored)
            pixels, damage = decoded.image, decoded.damage
            if pixels is None:
                image.draft(image.mode, wanted or stored)
        else:
            pixels = None
        if pixels is None:
            _load(path, kind, image, data)
            pixels = image
        stored_as = pixels
        pixels = _converted(pixels, image.info.get("icc_profile"))
        turned, pixels = orientation(image), to_rgb(pixels)
        plain = pixels is stored_as and image.mode == "RGB"
        turn = _TURNS.get(turned)
        upright = pixels.transpose(turn) if turn is not None else pixels
        return Pixels(upright, turned, damage, plain)


def _load(path: Location, kind: str, image: Any, data: bytes) -> None:
    """Decode by Pillow.

    Raises: what Pillow raises; PhotoError for a variant that it cannot read.
    """
    try:
        image.load()
    except (OSError, ValueError, RuntimeError, SyntaxError) as error:
        compression = image.tag_v2.get(COMPRESSION, 1) if kind == "TIFF" else 1
        if compression not in _TIFF_READ:
            raise unsupported(path, f"a TIFF of compression {compression}") from error
        if kind == "JPEG" and jpeg.is_arithmetic(data):
            raise unsupported(path, "a JPEG with arithmetic coding") from error
        raise


def unsupported(path: Location, what: str) -> PhotoError:
    """Make the error of a photo that is of a variant that is not read; it may be whole."""
    return PhotoError("unsupported", f"{path}: {what}, which is not read: save it as another")


def orientation(image: Image.Image) -> int:
    """Tell how a photo is stored, as EXIF numbers it: 1 is upright, and so is what says nothing.

    A PNG may say so behind its pixels: it is decoded for that.
    """
    try:
        number = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, LookupError, TypeError, OSError, RuntimeError):
        return 1  # notes that cannot be read do not cost the photo
    return number if number in range(1, 9) else 1


def _converted(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Bring a photo in XYB, as JPEG XL's tools write it into a JPEG, to the usual colours."""
    if image.mode != "RGB" or not profile or b"XYB" not in _utf8_or_16(profile):
        return image
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    return converted if converted is not None else image


def _utf8_or_16(profile: bytes) -> bytes:
    """Give a profile's description: plain in old profiles, in UTF-16 in new ones."""
    at = profile.find(b"desc", 128)
    offset = int.from_bytes(profile[at + 4 : at + 8], "big")
    return profile[offset : offset + 128].replace(b"\0", b"") if at > 0 else b""


def to_rgb(image: Image.Image) -> Image.Image:
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
