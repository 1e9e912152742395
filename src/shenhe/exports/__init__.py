"""Captions in the formats of labelling tools and trainers, in pixels of the upright photo.

What a format cannot hold is counted and said, never dropped in silence.
"""

from shenhe.exports.write import FORMATS, write_export

__all__ = ["FORMATS", "write_export"]
