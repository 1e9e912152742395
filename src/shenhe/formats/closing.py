"""An answer that was cut, made into a shorter one that keeps its format; nothing is invented."""

from __future__ import annotations

import re

from shenhe.formats.grammars import STYLES
from shenhe.messages import Grammar
from shenhe.values import photo_key

# A string that is cut has no end: nothing in it is a brace.
_STEP = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}]')


def close_truncated(text: str, grammar: Grammar) -> str:
    """Close a text that kept to its grammar as far as it goes.

    A caption ends behind its last whole object; photos that were not reached are empty. A line and
    a verdict are what there is of them.
    """
    text = text.rstrip("\ufffd")
    return _close_caption(text, grammar.photos) if grammar.kind == "caption" else text


def _close_caption(text: str, photos: int) -> str:
    style = "compact" if re.match(r'\{"[^"]*":\{', text) else "spaced"
    comma, colon = STYLES[style]
    depth = whole = reached = still_open = 0
    for step in _STEP.finditer(text):
        mark = step[0]
        if mark == "{":
            depth += 1
            if depth == 2:
                reached, whole, still_open = reached + 1, step.end(), depth
        elif mark == "}":
            depth -= 1
            if depth in (1, 2):
                whole, still_open = step.end(), depth
            if depth == 0:
                return text
    inside = text[:whole]
    if still_open == 2:
        inside += "}"
    missing = [f'"{photo_key(index)}"{colon}{{}}' for index in range(reached, photos)]
    joined = comma.join([inside, *missing] if reached else ["{" + missing[0], *missing[1:]])
    return joined + "}"
