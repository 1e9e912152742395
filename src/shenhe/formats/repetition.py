"""Whether a text that is being written goes round in a circle."""

from __future__ import annotations

import re

from shenhe.formats.caption_recovery import LOOP
from shenhe.records import Grammar

LINE_LOOP = 24
"""A line may name equal things one by one; so many of them are no line any more."""
_OBJECT = re.compile(r'"object_\d+":\s?(\{[^{}]*\})')


def repeats(text: str, grammar: Grammar) -> bool:
    """Whether the last object, or the last item of a line, has been written too often."""
    if grammar.kind == "caption":
        objects = _OBJECT.findall(text)
        return bool(objects) and objects.count(objects[-1]) >= LOOP
    if grammar.kind == "summary":
        items = [item.strip() for item in text.split("，") if item.strip()]
        return bool(items) and items.count(items[-1]) >= LINE_LOOP
    return False
