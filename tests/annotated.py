"""A photo with one thing of each geometry, painted so that its pixels can be told."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from shenhe.geometry import Box, Line, Polygon, Size, to_pixels
from shenhe.values import Annotation, CaptionObject

SIZE: Size = Size(400, 300)
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 60), (40, 60, 230)
THINGS = (
    CaptionObject(Box(100, 100, 400, 400), "BBU设备/华为,显示完整"),
    CaptionObject(Polygon(((600, 200), (900, 100), (950, 300), (650, 400))), "标签/4G"),
    CaptionObject(Line(((100, 700), (500, 900), (900, 700))), "光纤/有保护措施/铠装"),
)
ROTATED = 6
"""EXIF: what is stored is to be turned by 90 degrees to the right."""


def paint(path: Path, *, rotated: bool = False) -> Annotation:
    """Write the photo, the box red, the quad green and the line blue; or stored on its side."""
    photo = Image.new("RGB", SIZE, (128, 128, 128))
    pen = ImageDraw.Draw(photo)
    box, quad, line = (to_pixels(item.shape, SIZE) for item in THINGS)
    pen.polygon(list(box.points), fill=RED)
    pen.polygon(list(quad.points), fill=GREEN)
    pen.line(list(line.points), fill=BLUE, width=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    if rotated:
        exif = Image.Exif()
        exif[0x0112] = ROTATED
        photo.transpose(Image.Transpose.ROTATE_90).save(path, quality=95, exif=exif)
    else:
        photo.save(path, quality=95)
    return Annotation(path, SIZE, THINGS)


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    """Whether a pixel is of a colour, as far as JPEG keeps it."""
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 60 for a, b in zip(pixel, colour, strict=True))
