"""What a model thought before it answered: never a part of its answer."""

from __future__ import annotations

import re

from shenhe.errors import FormatError

_WORDS = "think|thinking|thought|thoughts|reasoning|analysis"
_MARK = re.compile(
    rf"<\|?(?P<end>/)?(?:{_WORDS})\|?>|[\[◁](?P<other_end>/)?(?:THINK|think)[▷\]]", re.IGNORECASE
)
REMEDY = "switch the thinking off, or give the server a reasoning parser"


def split(text: str) -> tuple[str, str]:
    """Part a text behind its last end of thinking: what was thought, and the answer.

    Also a text whose beginning was left to the prompt, so that only `</think>` stands in it.
    Raises: FormatError with code thinking where the thinking never ends, or nothing is behind it.

        >>> split("<think>two boxes?</think>one")
        ('<think>two boxes?</think>', 'one')
    """
    answer_at = 0
    is_open = False
    for mark in _MARK.finditer(text):
        is_open = not (mark["end"] or mark["other_end"])
        if not is_open:
            answer_at = mark.end()
    if is_open:
        raise FormatError("thinking", f"the thinking never ends: {REMEDY}, or raise the limit")
    if answer_at and not text[answer_at:].strip():
        raise FormatError("thinking", f"nothing stands behind the thinking: {REMEDY}")
    return text[:answer_at], text[answer_at:]


def refuse(text: str) -> None:
    """Refuse a text that holds any thinking: what is never repaired must not be cut out of it.

    Raises: FormatError with code thinking.
    """
    if mark := _MARK.search(text):
        raise FormatError("thinking", f"the answer holds its thinking ({mark[0]}): {REMEDY}")
