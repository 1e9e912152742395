"""The thinking of a model, which is never part of its answer."""

from __future__ import annotations

import re

from shenhe.errors import FormatError

_WORDS = "think|thinking|thought|thoughts|reasoning|analysis"
_MARK = re.compile(
    rf"<\|?(?P<end>/)?(?:{_WORDS})\|?>|[\[◁](?P<other_end>/)?(?:THINK|think)[▷\]]", re.IGNORECASE
)
REMEDY = "switch the thinking off, or give the server a reasoning parser"


def split(text: str) -> tuple[str, str]:
    """Split a text into its thinking and its answer, at the last end of thinking.

    The start of thinking may be missing: some prompts hold it, and the answer only `</think>`.
    Raises: FormatError with code thinking if the thinking never ends, or no answer follows it.

        >>> split("<think>two boxes?</think>one")
        ('<think>two boxes?</think>', 'one')
    """
    answer_start = 0
    is_open = False
    for mark in _MARK.finditer(text):
        is_open = not (mark["end"] or mark["other_end"])
        if not is_open:
            answer_start = mark.end()
    if is_open:
        raise FormatError("thinking", f"the thinking never ends: {REMEDY}, or raise the limit")
    if answer_start and not text[answer_start:].strip():
        raise FormatError("thinking", f"nothing stands behind the thinking: {REMEDY}")
    return text[:answer_start], text[answer_start:]


def refuse(text: str) -> None:
    """Refuse a text that holds thinking, where formats are never repaired.

    Raises: FormatError with code thinking.
    """
    if mark := _MARK.search(text):
        raise FormatError("thinking", f"the answer holds its thinking ({mark[0]}): {REMEDY}")
