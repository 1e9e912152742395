"""The reason of a verdict as pages show it: without its code, and with the photos that it names."""

from __future__ import annotations

import re
from typing import NamedTuple

from shenhe.languages import Language
from shenhe.row_types import VerdictRow
from shenhe.rows.problem_words import words_of_malformed
from shenhe.values import FORMAT, UNDECIDED_CODES, Ruling


class ReasonPart(NamedTuple):
    """A part of a reason: the name of a photo with its number from 1 on, or other text with 0."""

    text: str
    photo: int


def split_code(verdict: Ruling | None, reason: str, language: Language) -> tuple[str, str]:
    """Split the reason of an undecided group at its code; empty for a reason of the model.

    Rows say what is wrong with a malformed answer in English: here it is in the reader's language.

    >>> split_code(None, "evidence_missing: 缺少: 电线", "zh")
    ('evidence_missing', '缺少: 电线')
    >>> split_code(None, "format: empty: the verdict is empty", "zh")
    ('format', '回答是空的')
    """
    code, _, message = reason.partition(": ")
    if verdict is not None or code not in UNDECIDED_CODES:
        return "", reason
    return code, getattr(words_of_malformed(message), language) if code == FORMAT else message


def split_at_photos(row: VerdictRow, photos: int, language: Language) -> list[ReasonPart]:
    """Split a reason, without its code, at the names of photos that the group has."""
    parts = []
    for text in re.split(r"(图片_\d+)", split_code(row.verdict, row.reason, language)[1]):
        number = int(text[3:]) if re.fullmatch(r"图片_\d{1,6}", text) else 0
        parts.append(ReasonPart(text, number if number <= photos else 0))
    return [part for part in parts if part.text]
