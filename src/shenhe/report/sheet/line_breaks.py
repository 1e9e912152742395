"""Lines of Chinese and Latin text: Chinese breaks at any character, Latin between words.

No line begins with a closing sign or ends with an opening one. A word that is wider than a line is
cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_OPENING = "（【《〈「『“‘([{"
_CLOSING = "，。；：！？、）】》〉」』”’…·,.;:!?)]}%％"
_PARTS = re.compile(
    rf"[{re.escape(_OPENING)}]*(?:[!-~\u00a1-\u024f]+|[^\s])[{re.escape(_CLOSING)}]*[ \u3000]*|\s"
)


def break_lines(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Break a text into lines that are no wider than `width`, as `measure` says.

    >>> break_lines("螺丝，符合要求 ok", 4, len)
    ['螺丝，符', '合要求 ', 'ok']
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _break_paragraph(paragraph, width, measure)
    return lines


def _break_paragraph(text: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    line, used = "", 0.0
    for part in _PARTS.findall(text):
        taken = measure(part.rstrip())
        if line and used + taken > width:
            yield line
            line, used = "", 0.0
        if taken > width:
            *cut, part = _cut(part, width, measure)
            yield from cut
        line += part
        used += measure(part)
    yield line


def _cut(part: str, width: float, measure: Callable[[str], float]) -> Iterator[str]:
    """Cut a word that is wider than a line."""
    line, used = "", 0.0
    for character in part:
        taken = measure(character)
        if line and used + taken > width:
            yield line
            line, used = "", 0.0
        line += character
        used += taken
    yield line
