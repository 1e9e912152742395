"""Captions drawn on their photos."""

from shenhe.overlays.draw import (
    colour_of,
    draw_caption,
    font_file,
    is_drawn,
    overlay_path,
    write_overlay,
)
from shenhe.overlays.vector import DrawnObject, draw_objects

__all__ = [
    "DrawnObject",
    "colour_of",
    "draw_caption",
    "draw_objects",
    "font_file",
    "is_drawn",
    "overlay_path",
    "write_overlay",
]
