"""The two-line verdict: 通过 or 不通过, then `理由: ` and a reason. Never repaired."""

from __future__ import annotations

import re

from shenhe.errors import FormatError
from shenhe.formats import thinking
from shenhe.values import FAIL, PASS, Judgement

REASON_PREFIX = "理由: "
_PHOTO = re.compile(r"图片_\d+")


def parse(text: str) -> Judgement:
    r"""Read a verdict of exactly two lines; one trailing newline is allowed.

    Raises: FormatError with code empty, thinking, verdict_line, reason_missing, reason_prefix,
    reason_empty, special_token or extra_lines.
    Source: `render`, and the verdict prompt.

        >>> parse("不通过\n理由: 图片_1 未显示标签")
        Judgement(verdict='不通过', reason='图片_1 未显示标签')
    """
    if not text.strip():
        raise FormatError("empty", "the verdict is empty")
    thinking.refuse(text)
    first, *behind = text.removesuffix("\n").split("\n")
    if first not in (PASS, FAIL):
        raise FormatError(
            "verdict_line", f"the first line must be {PASS} or {FAIL} alone, got {first[:40]!r}"
        )
    if not behind:
        raise FormatError("reason_missing", "the second line, the reason, is missing")
    if len(behind) > 1:
        raise FormatError("extra_lines", f"a verdict has two lines, got {len(behind) + 1}")
    (second,) = behind
    if not second.startswith(REASON_PREFIX):
        raise FormatError(
            "reason_prefix", f"the second line must begin with {REASON_PREFIX!r}: {second[:40]!r}"
        )
    reason = second.removeprefix(REASON_PREFIX)
    if not reason.strip():
        raise FormatError("reason_empty", "the reason is empty")
    # str.splitlines splits at more line ends than "\n": none may hide a third line.
    if len(second.splitlines()) > 1:
        raise FormatError("extra_lines", "the reason holds a line break")
    if "<|" in reason:
        raise FormatError("special_token", "the reason holds a special token")
    return Judgement(verdict=PASS if first == PASS else FAIL, reason=reason)


def photos_named(reason: str) -> set[str]:
    """Find the keys of the photos that a reason names.

    >>> photos_named("图片_12 未显示标签")
    {'图片_12'}
    """
    return set(_PHOTO.findall(reason))


def render(value: Judgement) -> str:
    r"""Write a verdict as models must, without a trailing newline.

    >>> render(Judgement("通过", "图片_1 显示完整"))
    '通过\n理由: 图片_1 显示完整'
    """
    return f"{value.verdict}\n{REASON_PREFIX}{value.reason}"
