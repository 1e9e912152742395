"""Captions drawn on their photos."""

from shenhe.overlays.draw import (
    colour_of,
    draw_caption,
    font_file,
    is_drawn,
    overlay_path,
    write_overlay,
)

__all__ = ["colour_of", "draw_caption", "font_file", "is_drawn", "overlay_path", "write_overlay"]
