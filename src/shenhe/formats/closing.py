"""A truncated answer, shortened until it keeps its format; nothing is invented."""

from __future__ import annotations

import json
import re

from shenhe.formats.caption_grammar import COMPACT, SPACED
from shenhe.messages import Grammar
from shenhe.values import photo_key

# A truncated string has no end, and its braces are text.
_STRING_OR_BRACE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[{}]')


def close_truncated(text: str, grammar: Grammar) -> str:
    """Close a text that is a beginning of its grammar.

    A caption ends behind its last whole object, and photos that were not reached are empty. Lines
    and verdicts are returned as they are.

        >>> from shenhe.formats.caption_grammar import of_caption
        >>> close_truncated('{"图片_1": {"object_1": {"bbox', of_caption(2))
        '{"图片_1": {}, "图片_2": {}}'
    """
    text = text.rstrip("\ufffd")
    if grammar.kind != "caption":
        return text
    start = text.find("{")
    if start < 0:
        header = json.dumps(text.removesuffix("\n"), ensure_ascii=False)[:-1]
        signs = ("(", "| ")
        is_header = text != "" and any(f"{sign}{header}" in grammar.lark for sign in signs)
        if is_header and not text.endswith("\n"):  # within one of several headers
            return text
        start = len(text) if is_header else 0
    header, body = text[:start], text[start:]
    close = _close_caption if grammar.photos else _close_objects
    return header + close(body, grammar.photos)


def _close_objects(text: str, _: int) -> str:
    """Close the objects of the only photo, which stand at the top."""
    depth = 0
    whole_end = 1
    for match in _STRING_OR_BRACE.finditer(text):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if match[0] == "}" and depth == 0:
            return text
        if match[0] == "}" and depth == 1:
            whole_end = match.end()
    return (text[:whole_end] or "{") + "}"


def _close_caption(text: str, photos: int) -> str:
    style = COMPACT if re.match(r'\{"[^"]*":\{', text) else SPACED
    depth = whole_end = reached = open_depth = 0
    for match in _STRING_OR_BRACE.finditer(text):
        if match[0] == "{":
            depth += 1
            if depth == 2:
                reached, whole_end, open_depth = reached + 1, match.end(), depth
        elif match[0] == "}":
            depth -= 1
            if depth in (1, 2):
                whole_end, open_depth = match.end(), depth
            if depth == 0:
                return text
    inside = text[:whole_end]
    if open_depth == 2:
        inside += "}"
    missing = [f'"{photo_key(index)}"{style.colon}{{}}' for index in range(reached, photos)]
    joined = style.comma.join([inside, *missing] if reached else ["{" + missing[0], *missing[1:]])
    return joined + "}"
