"""Boxes, quads and lines on the upright photo, numbered, and a legend of their descs below it.

The legend keeps long Chinese descs readable and off the photo; the numbers link the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from shenhe import photos
from shenhe.files import whole_file
from shenhe.formats.desc import category
from shenhe.geometry import Line, Point, Size, to_pixels
from shenhe.locations import Location
from shenhe.values import CaptionObject

FONT = "NotoSansSC-GBK.otf"
"""The characters of GBK: those of simplified and traditional Chinese, and of people's names."""
MIN_SIDE = 960
"""Pixels of the longer side; smaller photos are enlarged, for readable numbers and legends."""
TEXT_SHARE = 36
"""Longer side over the height of the legend's text: 10 pixels in a 360-pixel thumbnail."""
MAX_TEXT = 400
"""Characters of a desc in the legend."""
HEAD = 4096
"""Bytes at the beginning of an overlay that hold its comment."""
Colour = tuple[int, int, int]
"""RGB, 0-255."""
Rectangle = tuple[float, float, float, float]
"""xyxy, in pixels."""
COLOURS: dict[str, Colour] = {
    "BBU设备": (66, 165, 245),
    "挡风板": (171, 110, 240),
    "螺丝、光纤插头": (255, 152, 0),
    "标签": (255, 235, 59),
    "光纤": (76, 217, 100),
    "电线": (255, 95, 120),
}
OTHER_COLOURS: tuple[Colour, ...] = (
    (0, 220, 220),
    (205, 220, 57),
    (255, 138, 200),
    (190, 160, 130),
)
DARK: Colour = (16, 20, 26)
PALE: Colour = (236, 240, 244)


def draw_caption(photo: Image.Image, objects: Sequence[CaptionObject]) -> Image.Image:
    """Draw the objects of one photo.

    Shape: an upright RGB photo of any size in; the photo, enlarged if small, above its legend out.
    Units: shapes are in the 0-1000 frame.

    Example:
        draw_caption(open_upright(Path("1.jpg")), caption.photos[0]).save("1.png")

    """
    factor = max(1.0, MIN_SIDE / max(photo.size))
    size = Size(round(photo.width * factor), round(photo.height * factor))
    photo = photo.convert("RGB").resize(size, Image.Resampling.LANCZOS) if factor > 1 else photo
    legend = _legend(size.width, max(size), objects)
    sheet = Image.new("RGB", (size.width, size.height + legend.height), DARK)
    sheet.paste(photo, (0, 0))
    sheet.paste(legend, (0, size.height))
    _draw_shapes(sheet, size, objects)
    return sheet


def overlay_path(folder: Path, photo: Location, seen_with: str = "") -> Path:
    """Return the path of a photo's overlay in a folder, see `photos.unique_stem`.

    Example:
        overlay_path(Path("overlays"), Path("photos/1.jpg"))

    """
    return folder / f"{photos.unique_stem(photo, seen_with)}.jpg"


def write_overlay(photo: Location, objects: Sequence[CaptionObject], path: Path) -> None:
    """Write the overlay of a photo, whole or not at all.

    Raises: PhotoError; RunError if it cannot be written.

        write_overlay(photo, caption.photos[0], overlay_path(folder, photo))
    """
    sheet = draw_caption(photos.open_upright(photo), objects)
    with whole_file(path) as temporary:
        sheet.save(temporary, "JPEG", quality=90, comment=_mark(objects))


def is_drawn(objects: Sequence[CaptionObject], path: Path) -> bool:
    """Whether an overlay exists and shows these objects, by its comment rather than its time.

    Example:
        path = overlay_path(folder, photo)
        if not is_drawn(objects, path):
            write_overlay(photo, objects, path)

    """
    try:
        with path.open("rb") as file:
            return _mark(objects) in file.read(HEAD)
    except OSError:
        return False


def _mark(objects: Sequence[CaptionObject]) -> bytes:
    """Return the fingerprint of objects, which is the comment of their overlay."""
    content = repr([(item.desc, item.shape) for item in objects])
    digest = hashlib.sha256(content.encode("utf-8", "backslashreplace"))
    return b"shenhe:" + digest.hexdigest().encode()


def colour_of(desc: str) -> Colour:
    """Return the colour of a desc's category: the same in every overlay. Units: RGB, 0-255.

    >>> colour_of("标签/可以识别")
    (255, 235, 59)
    """
    name = category(desc)
    if name in COLOURS:
        return COLOURS[name]
    digest = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    return OTHER_COLOURS[digest[0] % len(OTHER_COLOURS)]


def font_file() -> AbstractContextManager[Path]:
    """Open the bundled font as a file, for as long as the context lasts.

    with font_file() as path:
        font = ImageFont.truetype(str(path), 24)
    """
    return as_file(files("shenhe.overlays") / FONT)


@lru_cache(maxsize=8)
def _font(height: int) -> ImageFont.FreeTypeFont:
    with font_file() as path:
        return ImageFont.truetype(str(path), height)


def _draw_shapes(sheet: Image.Image, size: Size, objects: Sequence[CaptionObject]) -> None:
    """Draw each outline twice, dark below bright, to be visible on any photo."""
    pen = ImageDraw.Draw(sheet)
    width = max(2, round(max(size) / 320))
    placed = [(item, to_pixels(item.shape, size)) for item in objects]
    for colour_width, dark in ((width * 2, True), (width, False)):
        for item, shape in placed:
            points = list(shape.points)
            if not isinstance(shape, Line):
                points.append(points[0])
            colour = DARK if dark else colour_of(item.desc)
            pen.line(points, fill=colour, width=colour_width, joint="curve")
            if isinstance(shape, Line):
                for point in points:
                    _dot(pen, point, colour_width, colour)
    tags: list[Rectangle] = []
    for number, (item, shape) in enumerate(placed, 1):
        tags.append(_draw_number(pen, size, number, shape.points[0], colour_of(item.desc), tags))


def _draw_number(
    pen: ImageDraw.ImageDraw,
    size: Size,
    number: int,
    corner: Point,
    colour: Colour,
    tags: Sequence[Rectangle],
) -> Rectangle:
    """Draw a number's tag beside a shape's first point, clear of other tags; return its box."""
    height = round(max(size) / 30)
    font = _font(round(height * 0.8))
    width = max(height, round(font.getlength(str(number)) + height * 0.5))
    x, y = corner
    best = None
    for dx, dy in ((0, -height), (0, 0), (-width, 0), (-width, -height), (width, -height)):
        left = min(max(0, x + dx), size.width - width)
        top = min(max(0, y + dy), size.height - height)
        box = (left, top, left + width, top + height)
        best = best or box
        if not any(_overlap(box, tag) for tag in tags):
            best = box
            break
    assert best is not None
    pen.rounded_rectangle(best, radius=height / 5, fill=colour, outline=DARK, width=2)
    middle = ((best[0] + best[2]) / 2, (best[1] + best[3]) / 2)
    pen.text(middle, str(number), fill=DARK, font=font, anchor="mm")
    return best


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _dot(pen: ImageDraw.ImageDraw, centre: Point, radius: float, colour: Colour) -> None:
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _legend(width: int, side: int, objects: Sequence[CaptionObject]) -> Image.Image:
    """Draw the list of objects, each desc wrapped over several lines if needed."""
    height = round(side / TEXT_SHARE)
    font, step, tag = _font(height), round(height * 1.5), round(height * 1.9)
    left = tag + 2 * height
    rows = [
        (number if index == 0 else None, item, line)
        for number, item in enumerate(objects, 1)
        for index, line in enumerate(_wrap(item.desc, font, width - left - height))
    ]
    panel = Image.new("RGB", (width, step * max(1, len(rows)) + height), DARK)
    pen = ImageDraw.Draw(panel)
    if not rows:
        pen.text((height, height // 2), "0 objects", fill=PALE, font=font)
    for index, (number, item, line) in enumerate(rows):
        top = index * step + height // 2
        if number is not None:
            box = (height, top, height + tag, top + round(height * 1.3))
            pen.rounded_rectangle(box, radius=height / 5, fill=colour_of(item.desc))
            middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            pen.text(middle, str(number), fill=DARK, font=font, anchor="mm")
        pen.text((left, top + height * 0.65), line, fill=PALE, font=font, anchor="lm")
    return panel


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Wrap a desc at any character: Chinese has no spaces."""
    lines = [""]
    for character in "".join(c if c.isprintable() else " " for c in text[:MAX_TEXT]):
        if lines[-1] and font.getlength(lines[-1] + character) > width:
            lines.append("")
        lines[-1] += character
    return lines
