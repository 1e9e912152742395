"""Labels that people made in other tools, in the frame of captions.

Whatever an annotation cannot hold is counted and reported, never dropped silently.
"""

from shenhe.imports.read import TOOLS, read_labels, recognise
from shenhe.imports.reading import Reading, Strict

__all__ = ["TOOLS", "Reading", "Strict", "read_labels", "recognise"]
