"""The reason of a verdict as pages show it: without its code, and with the photos that it names."""

from __future__ import annotations

import re
from typing import NamedTuple

from shenhe.row_types import VerdictRow
from shenhe.values import UNDECIDED_CODES, Ruling


class ReasonPart(NamedTuple):
    """A part of a reason: the name of a photo with its number from 1 on, or other text with 0."""

    text: str
    photo: int


def split_code(verdict: Ruling | None, reason: str) -> tuple[str, str]:
    """Split the reason of an undecided group at its code; empty for a reason of the model.

    >>> split_code(None, "evidence_missing: 缺少: 电线")
    ('evidence_missing', '缺少: 电线')
    """
    code, _, message = reason.partition(": ")
    return (code, message) if verdict is None and code in UNDECIDED_CODES else ("", reason)


def split_at_photos(row: VerdictRow, photos: int) -> list[ReasonPart]:
    """Split a reason, without its code, at the names of photos that the group has."""
    parts = []
    for text in re.split(r"(图片_\d+)", split_code(row.verdict, row.reason)[1]):
        number = int(text[3:]) if re.fullmatch(r"图片_\d{1,6}", text) else 0
        parts.append(ReasonPart(text, number if number <= photos else 0))
    return [part for part in parts if part.text]
