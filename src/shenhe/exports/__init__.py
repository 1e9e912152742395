"""Captions in the formats of labelling tools and trainers, in pixels of the upright photo.

Whatever a format cannot hold is counted and reported, never dropped silently.
"""

from shenhe.exports.settings import Conversation, Exchange
from shenhe.exports.write import FORMATS, write_export

__all__ = ["FORMATS", "Conversation", "Exchange", "write_export"]
