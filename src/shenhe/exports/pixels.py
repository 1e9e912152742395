"""Coordinates in pixels and photos on disk, as exports need them."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from PIL import Image

from shenhe import photos
from shenhe.errors import PhotoError
from shenhe.geometry import Line, Shape, clip, to_pixels
from shenhe.locations import Location, open_location
from shenhe.values import Annotation, CaptionObject

DIGITS = 2
"""Decimal places of pixels."""
JPEG_QUALITY = 95
ORIENTATION = 0x0112
"""EXIF tag."""
PLAIN_KINDS = {"JPEG", "PNG", "BMP"}
"""Image formats that every tool opens."""


def shape_in_pixels(annotation: Annotation, item: CaptionObject) -> Shape:
    """Place the shape of an object on its upright photo, clipped to its edges.

    Units: 0-1000 in, pixels out, rounded to 1/100.
    """
    placed = to_pixels(clip(item.shape), annotation.size_wh)
    return placed.map_points(lambda x, y: (round(x, DIGITS), round(y, DIGITS)))


def points_of(shape: Shape) -> list[list[float]]:
    """Return corners or points as lists. Shape: (points, 2)."""
    return [[x, y] for x, y in shape.points]


def bounds_xyxy(shape: Shape) -> tuple[float, float, float, float]:
    """Return the bounding box of a shape. Shape: xyxy. Units: those of the shape."""
    xs, ys = zip(*shape.points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def is_line(item: CaptionObject) -> bool:
    """Whether an object is drawn as a line."""
    return isinstance(item.shape, Line)


def add_photo(photo: Location, folder: Path, losses: Counter[str], *, copy: bool = False) -> Path:
    """Add a photo to an export, and return its path there.

    The file itself if every tool reads the same upright pixels from it, else an upright JPEG, which
    no tool can rotate. No path leads out of the export: the file is a hard link where the disk
    allows that, unless a `copy` is asked for. A photo that cannot be opened is counted in `losses`
    and left out.
    """
    stem = photos.unique_stem(photo)
    target = folder / (stem + photo.suffix)
    try:
        if _is_plain(photo):
            _link_or_copy(photo, target, copy=copy)
            return target
        upright = photos.open_upright(photo)
    except PhotoError as error:
        losses[f"photos that cannot be opened ({error.code}): their labels are there alone"] += 1
        return target
    target = folder / f"{stem}.jpg"
    upright.save(target, "JPEG", quality=JPEG_QUALITY)
    return target


def _link_or_copy(photo: Location, target: Path, *, copy: bool) -> None:
    if isinstance(photo, Path) and not copy:
        try:
            target.hardlink_to(photo.resolve())
        except OSError:  # another disk, or one without links
            pass
        else:
            return
    # A new file: writing into one that is there could write into the photo that it is a link to.
    with open_location(photo) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file)


def _is_plain(photo: Location) -> bool:
    """Whether the stored pixels are upright, and every tool opens their format."""
    try:
        with open_location(photo) as file, Image.open(file) as image:
            return image.format in PLAIN_KINDS and image.getexif().get(ORIENTATION, 1) == 1
    except OSError:
        return False
