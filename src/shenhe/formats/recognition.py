"""Which of several formats a few raw answers are written in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from shenhe.errors import FormatError
from shenhe.formats import summary, verdict
from shenhe.formats.text_formats import TextFormats

_NUMBER: Final = re.compile(r"[0-9]{1,4}")
AnswerKind = Literal["summary", "verdict"]


class Fit(NamedTuple):
    """The formats that fit best, and how many of how many answers they fit."""

    formats: TextFormats
    fitting: int
    total: int

    def describe(self, answers: str) -> str:
        """Say it in one line.

        >>> Fit(TextFormats("domain"), 5, 5).describe("answers")
        '5 of 5 answers are of the format domain'
        """
        return f"{self.fitting} of {self.total} {answers} are of the format {self.formats.name}"


def recognize(
    kind: AnswerKind, texts: Iterable[str], candidates: Sequence[TextFormats]
) -> Fit | None:
    r"""Find the formats that most of the answers keep; of equal ones the first of the candidates.

    None if no format fits more than half of them. Answers that are alike in all formats, as
    无关图片, say nothing.

        >>> from shenhe.formats.text_formats import PLAIN, VerdictFormat
        >>> later = TextFormats("later", verdict=VerdictFormat(verdict_marks=("Verdict: ",)))
        >>> recognize("verdict", ["Verdict: 通过\n理由: 显示完整"], [PLAIN, later]).formats.name
        'later'
    """
    telling = [text for text in texts if text.strip() not in ("", summary.NOTHING_RELEVANT)]
    fits = _FITS[kind]
    counts = [sum(fits(text, formats) for text in telling) for formats in candidates]
    best = max(counts, default=0)
    if 2 * best <= len(telling):
        return None
    return Fit(candidates[counts.index(best)], best, len(telling))


def _is_summary(text: str, formats: TextFormats) -> bool:
    """Whether an answer keeps a format of lines; JSON is no line, though it may be read as one."""
    form = formats.summary
    if form.wrapper == "line" and summary.looks_like_json(text):
        return False
    number = _NUMBER.search(text)  # a wrapper may name the photo by its number in the group
    return _is_read(lambda: summary.parse(text, form, int(number[0]) if number else 1))


def _is_verdict(text: str, formats: TextFormats) -> bool:
    return _is_read(lambda: verdict.parse(text, formats.verdict))


def _is_read(parse: Callable[[], object]) -> bool:
    try:
        parse()
    except FormatError:
        return False
    return True


_FITS: Final[Mapping[AnswerKind, Callable[[str, TextFormats], bool]]] = {
    "summary": _is_summary,
    "verdict": _is_verdict,
}
