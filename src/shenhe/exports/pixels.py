"""Where coordinates become pixels for an export, once, and photos find their place in it."""

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
JPEG_QUALITY = 95
ORIENTATION = 0x0112
PLAIN = {"JPEG", "PNG", "BMP"}
"""Kinds of photo that every tool opens."""


def shape_in_pixels(annotation: Annotation, thing: CaptionObject) -> Shape:
    """Place a thing on the upright photo, cut off at its edges. Units: pixels, to 1/100."""
    placed = to_pixels(clip(thing.shape), annotation.size_wh)
    return placed.map_points(lambda x, y: (round(x, DIGITS), round(y, DIGITS)))


def points_of(shape: Shape) -> list[list[float]]:
    """Give corners or points as lists. Shape: (points, 2)."""
    return [[x, y] for x, y in shape.points]


def bounds_xyxy(shape: Shape) -> tuple[float, float, float, float]:
    """Give the smallest upright box around a shape."""
    xs, ys = zip(*shape.points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def is_line(thing: CaptionObject) -> bool:
    """Whether a thing is drawn as a line."""
    return isinstance(thing.shape, Line)


def place_photo(photo: Location, folder: Path, losses: Counter[str]) -> Path:
    """Put a photo into an export, and give its path there.

    A link, where every tool sees the same upright pixels in the file; else an upright JPEG, so
    that no tool can turn it another way. A photo that cannot be opened is counted and left out.
    """
    stem = photos.unique_stem(photo)
    target = folder / (stem + photo.suffix)
    try:
        if _is_plain(photo):
            _link_or_copy(photo, target)
            return target
        upright = photos.open_upright(photo)
    except PhotoError as error:
        losses[f"photos that cannot be opened ({error.code}): their labels are there alone"] += 1
        return target
    target = folder / f"{stem}.jpg"
    upright.save(target, "JPEG", quality=JPEG_QUALITY)
    return target


def _link_or_copy(photo: Location, target: Path) -> None:
    if isinstance(photo, Path):
        try:
            target.symlink_to(photo.absolute())
        except OSError:  # a file system without links
            pass
        else:
            return
    with open_location(photo) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)


def _is_plain(photo: Location) -> bool:
    """Whether the stored pixels are upright and of a kind that every tool opens."""
    try:
        with open_location(photo) as file, Image.open(file) as image:
            return image.format in PLAIN and image.getexif().get(ORIENTATION, 1) == 1
    except OSError:
        return False
