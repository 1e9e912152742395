"""Two texts side by side: the pieces that only one of them has."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import NamedTuple

MAX_PIECES = 400
"""Texts of more pieces are shown without marks: their comparison grows with the square."""


class TextPart(NamedTuple):
    """A part of a text, and whether the other text lacks it."""

    text: str
    differs: bool


def mark_differences(before: str, now: str) -> tuple[list[TextPart], list[TextPart]]:
    """Split two texts at levels, values and words, and mark what only one of them has.

    >>> [part.text for part in mark_differences("BBU/华为/完整", "BBU/中兴/完整")[1]]
    ['BBU/', '中兴', '/完整']
    """
    pieces = [re.findall(r"[\w×]+|[^\w×]", text) for text in (before, now)]
    if max(map(len, pieces)) > MAX_PIECES:
        return [TextPart(before, differs=False)], [TextPart(now, differs=False)]
    codes = SequenceMatcher(None, pieces[0], pieces[1], autojunk=False).get_opcodes()
    first = [TextPart("".join(pieces[0][a:b]), code != "equal") for code, a, b, _, _ in codes]
    second = [TextPart("".join(pieces[1][a:b]), code != "equal") for code, _, _, a, b in codes]
    return [part for part in first if part.text], [part for part in second if part.text]
