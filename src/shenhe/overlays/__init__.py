"""Captions drawn on their photos."""

from shenhe.overlays.draw import draw_caption, overlay_path, write_overlay

__all__ = ["draw_caption", "overlay_path", "write_overlay"]
