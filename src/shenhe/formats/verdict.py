"""The two-line verdict: 通过 or 不通过, then `理由: ` and a reason. Never repaired."""

from __future__ import annotations

import re

from shenhe.errors import FormatError
from shenhe.formats import thinking
from shenhe.values import FAIL, PASS, Judgement

REASON_PREFIX = "理由: "
_PHOTO = re.compile(r"图片_\d+")


def parse(text: str) -> Judgement:
    """Read a verdict of exactly two lines; one trailing newline is allowed.

    Raises: FormatError with code empty, thinking, verdict_line, reason_missing, reason_prefix,
    reason_empty, special_token or extra_lines.
    Source: `render`, and the verdict prompt.
    """
    if not text.strip():
        raise FormatError("empty", "the verdict is empty")
    thinking.refuse(text)
    first, *rest = text.removesuffix("\n").split("\n")
    if first not in (PASS, FAIL):
        raise FormatError(
            "verdict_line", f"the first line must be {PASS} or {FAIL} alone, got {first[:40]!r}"
        )
    if not rest:
        raise FormatError("reason_missing", "the second line, the reason, is missing")
    if len(rest) > 1:
        raise FormatError("extra_lines", f"a verdict has two lines, got {len(rest) + 1}")
    if not rest[0].startswith(REASON_PREFIX):
        raise FormatError(
            "reason_prefix", f"the second line must begin with {REASON_PREFIX!r}: {rest[0][:40]!r}"
        )
    reason = rest[0].removeprefix(REASON_PREFIX)
    if not reason.strip():
        raise FormatError("reason_empty", "the reason is empty")
    # str.splitlines knows more line ends than "\n": none may hide a third line.
    if len(rest[0].splitlines()) > 1:
        raise FormatError("extra_lines", "the reason holds a line break")
    if "<|" in reason:
        raise FormatError("special_token", "the reason holds a special token")
    return Judgement(verdict=PASS if first == PASS else FAIL, reason=reason)


def photos_named(reason: str) -> set[str]:
    """Find the photos that a reason names: 图片_12 is not 图片_1."""
    return set(_PHOTO.findall(reason))


def render(value: Judgement) -> str:
    """Write a verdict as models must, without a trailing newline."""
    return f"{value.verdict}\n{REASON_PREFIX}{value.reason}"
