"""Captions in the formats of labelling tools and trainers, in pixels of the upright photo.

Whatever a format cannot hold is counted and reported, never dropped silently.
"""

from shenhe.exports.write import FORMATS, write_export

__all__ = ["FORMATS", "write_export"]
