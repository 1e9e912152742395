"""The two-line verdict: 通过 or 不通过, then `理由: ` and a reason. Never repaired.

A checkpoint may be trained on other words and marks: see `text_formats.VerdictFormat`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from shenhe.errors import FormatError
from shenhe.formats import thinking
from shenhe.formats.text_formats import PLAIN, VerdictFormat
from shenhe.values import FAIL, PASS, Judgement, Ruling, photo_key

_PHOTO = re.compile(r"(?:图片_|image[ _-]?)([0-9]{1,9})", re.IGNORECASE)
_BLANK = " \t\u3000"


def parse(text: str, form: VerdictFormat = PLAIN.verdict) -> Judgement:
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
    if form.blank_lines:
        behind = [line for line in behind if line.strip(_BLANK)]
    ruling = _read_ruling(first, form)
    if not behind:
        raise FormatError("reason_missing", "the second line, the reason, is missing")
    if len(behind) > 1:
        raise FormatError("extra_lines", f"a verdict has two lines, got {len(behind) + 1}")
    return Judgement(ruling, _read_reason(behind[0], form))


def _read_ruling(line: str, form: VerdictFormat) -> Ruling:
    """Read the first line: a mark and a word, nothing else."""
    if line in {mark + form.pass_word for mark in form.verdict_marks}:
        return PASS
    if line in {mark + form.fail_word for mark in form.verdict_marks}:
        return FAIL
    expected = " or ".join(form.openings)
    raise FormatError("verdict_line", f"the first line must be {expected} alone, got {line[:40]!r}")


def _read_reason(line: str, form: VerdictFormat) -> str:
    """Read the second line: a mark and a reason; of marks that fit, the longest."""
    fitting = [mark for mark in form.reason_marks if line.startswith(mark)]
    if not fitting:
        expected = " or ".join(map(repr, form.reason_marks))
        raise FormatError(
            "reason_prefix", f"the second line must begin with {expected}: {line[:40]!r}"
        )
    reason = line.removeprefix(max(fitting, key=len))
    if not any(unicodedata.category(character)[0] in "LNPS" for character in reason):
        raise FormatError("reason_empty", "the reason is empty")
    # str.splitlines splits at more line ends than "\n": none may hide a third line.
    if len(line.splitlines()) > 1:
        raise FormatError("extra_lines", "the reason holds a line break")
    if "<|" in reason:
        raise FormatError("special_token", "the reason holds a special token")
    return reason


def photos_named(reason: str) -> set[str]:
    """Find the keys of the photos that a reason names, as 图片_1 or as Image1.

    >>> photos_named("图片_12 未显示标签")
    {'图片_12'}
    """
    return {photo_key(int(number) - 1) for number in _PHOTO.findall(reason)}


def split_by_photos(reason: str) -> Iterator[tuple[str, str]]:
    """Split a reason at the photos that it names: each as its key and its name, text behind "".

    >>> list(split_by_photos("Image1: 显示完整"))
    [('图片_1', 'Image1'), ('', ': 显示完整')]
    """
    end = 0
    for match in _PHOTO.finditer(reason):
        if match.start() > end:
            yield "", reason[end : match.start()]
        yield photo_key(int(match[1]) - 1), match[0]
        end = match.end()
    if reason[end:]:
        yield "", reason[end:]


def render(value: Judgement, form: VerdictFormat = PLAIN.verdict) -> str:
    r"""Write a verdict as models must, without a trailing newline.

    >>> render(Judgement("通过", "图片_1 显示完整"))
    '通过\n理由: 图片_1 显示完整'
    """
    passed, failed = form.openings
    return f"{passed if value.verdict == PASS else failed}\n{form.reason_marks[0]}{value.reason}"
