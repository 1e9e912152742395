"""Decoding: the bytes of a photo to pixels, upright and in RGB, or a PhotoError.

Colour profiles are not applied, because training reads photos without them. CMYK, and XYB with its
profile, would show wrong colours and are converted.
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
from typing import BinaryIO, Final

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from shenhe.errors import PhotoError, item_wall
from shenhe.geometry import Size
from shenhe.locations import Location
from shenhe.photos import heic_pixels, jpeg
from shenhe.photos.completeness import COMPRESSION, check_tiff_directory, check_whole, count_pages
from shenhe.photos.heic import TruncatedError, check_heic
from shenhe.photos.raster import Raster

PLUGINS: Final = {"HEIC": "HEIF"}
"""Pillow's names of kinds, where they differ from ours."""
_TRANSPOSITIONS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes a photo upright, by EXIF orientation."""
_UNSUPPORTED: Final = re.compile(
    r"unsupported (?!marker)|not supported|not implemented|not available|not configured"
    r"|cannot handle|unknown (pixel|raw|image|data|compression) |unrecognized image mode",
    re.IGNORECASE,
)
"""Decoders' messages for variants they cannot read, damaged or not."""
_TEXT_OF_EXIF: Final = "Raw profile type exif"
BLOCK_BYTES: Final = 1 << 26
_NO_MEMORY: Final = re.compile(
    r"(not|can't|cannot) (enough|allocate) memory|out of memory|memory allocation", re.IGNORECASE
)
_TIFF_COMPRESSIONS: Final = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000})
"""TIFF compressions that are decoded."""

# Registers all plugins; `Image.OPEN[kind]` does not load one by itself.
Image.init()
# Only the photo itself is decoded: a thumbnail may be complete where the photo is not.
pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
# `opening` enforces the limit before decoding, with a reason code.
Image.MAX_IMAGE_PIXELS = None
# Large blocks are returned to the system at once; threads cache blocks below 32 MB.
Image.core.set_block_size(BLOCK_BYTES)  # type: ignore[attr-defined]
# Pillow's warnings about ignored metadata do not name the photo.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


def _silence_libtiff() -> None:
    """Stop libtiff from writing to stderr: its lines do not name the photo, and any thread writes.

    Pillow has no option for this and raises its own errors. If libtiff is linked statically into
    Pillow's module, its symbols are not found and it continues to write.
    """
    with suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            handler = getattr(library, name)
            handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            handler(None)


_silence_libtiff()


@dataclass(frozen=True, slots=True)
class Metadata:
    """Blocks of a file beside its pixels, empty where it has none, and the damage inside."""

    exif: bytes
    profile: bytes
    damage: str


@dataclass(frozen=True, slots=True)
class Pixels:
    """A photo upright and in RGB, possibly decoded at a smaller size.

    `orientation` is the stored EXIF orientation, 1 to 8. `plain` says that the file stores these
    colours without conversion, so that every reader sees them.
    """

    raster: Raster
    orientation: int
    plain: bool
    metadata: Metadata


@contextmanager
def photo_wall(path: Location, kind: str = "") -> Iterator[None]:
    """Map every exception of opening and decoding.

    Raises: PhotoError that names the photo.
    """
    with item_wall("unreadable", path, PhotoError):
        try:
            yield
        except FileNotFoundError as error:
            raise PhotoError("missing", f"{path}: no such file") from error
        except TruncatedError as error:
            raise PhotoError("truncated", f"{path}: cut short: {error}") from error
        # Decoders report damage in many ways; each of these occurred on a damaged file.
        except (SyntaxError, ValueError, EOFError, LookupError, RuntimeError) as error:
            raise _decoder_error(path, kind, error) from error
        except OSError as error:
            # Without errno the decoder raised it; EINVAL comes from a damaged offset below 0.
            if error.errno is None or (kind and error.errno == errno.EINVAL):
                raise _decoder_error(path, kind, error) from error
            raise PhotoError("unreadable", f"{path}: {error.strerror}") from error


def _decoder_error(path: Location, kind: str, error: Exception) -> PhotoError:
    message = " ".join(str(error).split())
    if _NO_MEMORY.search(message):
        return PhotoError("out_of_memory", f"{path}: not enough memory: {message}")
    if _UNSUPPORTED.search(message):
        problem = f"{path}: a {kind} of a kind that is not read: {message}"
        return PhotoError("unsupported", problem)
    return PhotoError("truncated", f"{path}: damaged: {message or type(error).__name__}")


def open_header(kind: str, file: BinaryIO) -> Image.Image:
    """Open a photo of a known kind without decoding it.

    Calls the plugin of the kind directly, so that its own error is raised and not Pillow's
    "cannot identify image file".
    Raises: TruncatedError; the errors of Pillow's plugins.
    """
    ImageFile.LOAD_TRUNCATED_IMAGES = False  # another library may have set it
    if kind == "HEIC":
        file.seek(0)
        check_heic(file.read())
    compression = check_tiff_directory(file) if kind == "TIFF" else 1
    file.seek(0)
    factory, _ = Image.OPEN[PLUGINS.get(kind, kind)]
    try:
        return factory(file, "")
    except SyntaxError as error:
        if compression in _TIFF_COMPRESSIONS:
            raise
        raise NotImplementedError(f"compression {compression} is not supported") from error


def decode(path: Location, kind: str, data: bytes, target: Size) -> Pixels:
    """Decode a photo; a JPEG at `target`, its stored size or a fraction of it.

    Raises: PhotoError, see `loading.load`; TruncatedError; the errors of Pillow's plugins.
    """
    with open_header(kind, io.BytesIO(data)) as image:
        stored = Size(*image.size)
        damage = check_heic(data) if kind == "HEIC" else check_whole(kind, data, image)
        array: NDArray[np.uint8] | None = None
        if kind == "JPEG":
            array, damage = jpeg.decode(data, image.mode, stored, target)
            if array is None:
                image.draft(image.mode, target)
        elif kind == "HEIC" and image.mode == "RGB":
            array = heic_pixels.decode(data)
        if array is None:
            _load(path, kind, image, data)
        profile, orientation = _block(image, "icc_profile"), exif_orientation(image)
        transposition = _TRANSPOSITIONS.get(orientation)
        if array is not None and array.ndim == 3 and not _is_xyb(profile):
            raster, plain = Raster(array), True
        else:
            pixels = image if array is None else Image.fromarray(array)
            rgb = to_rgb(_from_xyb(pixels, profile))
            raster, plain = Raster(rgb), rgb is pixels and image.mode == "RGB"
        if transposition is not None:
            raster = Raster(raster.image.transpose(transposition))
        exif = data if kind == "TIFF" else _block(image, "exif") or _exif_in_text(image)
        return Pixels(raster, orientation, plain, Metadata(exif, profile, damage))


def _block(image: Image.Image, name: str) -> bytes:
    block = image.info.get(name)
    return block if isinstance(block, bytes) else b""


def _exif_in_text(image: Image.Image) -> bytes:
    """Decode the EXIF that ImageMagick writes into the texts of a PNG: three lines, then digits."""
    text = image.info.get(_TEXT_OF_EXIF)
    digits = "".join(text.split("\n")[3:]) if isinstance(text, str) else ""
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return b""


def _load(path: Location, kind: str, image: Image.Image, data: bytes) -> None:
    """Decode with Pillow.

    Raises: PhotoError for an unsupported variant; the errors of Pillow's plugins.
    """
    if isinstance(image, TiffImageFile) and (pages := count_pages(data)) > 1:
        raise PhotoError(
            "unsupported",
            f"{path}: a TIFF of {pages} pages, of which only the first would be looked at:"
            " save each as a photo of its own",
        )
    try:
        image.load()
    except (OSError, ValueError, RuntimeError, SyntaxError) as error:
        compression = image.tag_v2.get(COMPRESSION, 1) if isinstance(image, TiffImageFile) else 1
        if compression not in _TIFF_COMPRESSIONS:
            raise unsupported(path, f"a TIFF of compression {compression}") from error
        if kind == "JPEG" and jpeg.is_arithmetic(data):
            raise unsupported(path, "a JPEG with arithmetic coding") from error
        raise


def unsupported(path: Location, variant: str) -> PhotoError:
    """Make the error of a photo of a variant that is not decoded; the file may be intact."""
    return PhotoError("unsupported", f"{path}: {variant}, which is not read: save it as another")


def exif_orientation(image: Image.Image) -> int:
    """Read the EXIF orientation, 1 to 8; 1 (upright) if it is missing or invalid.

    Decodes a PNG, whose EXIF may follow its pixels.
    """
    try:
        number = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, LookupError, TypeError, OSError, RuntimeError):
        return 1  # an unreadable EXIF does not fail the photo
    return number if number in range(1, 9) else 1


def _from_xyb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert a JPEG in XYB colours, as JPEG XL tools write them, to sRGB."""
    if image.mode != "RGB" or not _is_xyb(profile):
        return image
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    return converted if converted is not None else image


def _is_xyb(profile: bytes) -> bool:
    return bool(profile) and b"XYB" in profile_description(profile)


def profile_description(profile: bytes) -> bytes:
    """Read the description of a colour profile, as its version writes it: ASCII or UTF-16.

    Example:
        b"Display P3" in profile_description(profile)

    """
    entry = profile.find(b"desc", 128)
    offset = int.from_bytes(profile[entry + 4 : entry + 8], "big")
    return profile[offset : offset + 128].replace(b"\0", b"") if entry > 0 else b""


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any colour mode to RGB; transparent pixels become white."""
    if image.mode.startswith(("I;16", "I", "F")):
        values = np.array(image, dtype=np.float32)
        # Scaled by the range of the mode, not by the values of this photo.
        scale = 255.0 if values.size and values.max() <= 255 else 65535.0
        values /= scale  # in place: of a large photo each copy is hundreds of megabytes
        values *= 255
        image = Image.fromarray(values.clip(0, 255, out=values).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")
