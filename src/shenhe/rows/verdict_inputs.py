"""What a verdict is made from: the Stage-A lines of a group, and what is missing of them."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

from shenhe.config.formats import formats_by_hash
from shenhe.errors import FormatError, RunError
from shenhe.formats import summary
from shenhe.formats.text_formats import SummaryFormat
from shenhe.row_types import SummaryRow
from shenhe.rows.fields import images_of, lines_of, list_of, meta_of
from shenhe.rows.ledger import Json
from shenhe.rows.unfinished import describe_unfinished
from shenhe.values import photo_key

_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_NOTHING: Final = frozenset({"empty", "thinking", "truncated", "loop"})
"""Codes of lines that say nothing, or are half of an answer."""
MAX_KEYS_SHOWN: Final = 5
"""Maximum number of keys of lines that a message names."""


def hash_lines(per_image: object) -> str:
    """Fingerprint the lines that a verdict rests on, 16 hex digits."""
    text = json.dumps(per_image, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def hash_inputs(row: Json) -> str:
    """Fingerprint what a verdict on a Stage-A row rests on: its lines, and what they lack."""
    try:
        lines, photos = lines_of(row), len(images_of(row))
    except RunError:  # no verdict can rest on it
        return hash_lines(row.get("per_image"))
    left_out = list_of(meta_of(row), "left_out")
    missing: list[object] = [left_out] if left_out else []
    if describe_missing_lines(photos, lines) or describe_unfinished(row):
        missing.append(photos)
    return hash_lines([lines, *missing] if missing else lines)


def describe_missing_lines(photos: int, lines: Mapping[str, object]) -> str:
    """Say what lines lack to be one for each photo, in order; nothing if they are whole."""
    if not lines:
        return f"{photos} 张照片, 没有一行"
    if list(lines) != [photo_key(index) for index in range(photos)]:
        return f"{photos} 张照片, {len(lines)} 行: {', '.join(islice(lines, MAX_KEYS_SHOWN))}"
    blank = [key for key, line in lines.items() if not _is_seen(str(line))]
    return f"没有内容: {', '.join(blank[:MAX_KEYS_SHOWN])}" if blank else ""


def describe_gap(row: SummaryRow) -> str:
    """Say what the lines of a Stage-A row lack to be one whole line for each photo.

    Example:
        if gap := describe_gap(row):
            print(f"{row.group_id}: {gap}")

    """
    gap = describe_missing_lines(len(row.images), row.per_image)
    return gap or describe_unfinished(row.extra)


def describe_no_summaries(lines: Mapping[str, str]) -> Iterator[str]:
    """Say which lines of another tool say nothing, or are half of an answer, in any format.

    >>> list(describe_no_summaries({"图片_1": "无关图片", "图片_2": "null"}))
    ['图片_2: the summary is null: it says nothing of the photo']
    """
    forms = [formats.summary for formats in formats_by_hash().values()]
    for number, (key, line) in enumerate(lines.items(), 1):
        headed = [form for form in forms if form.header and line.strip().startswith(form.headers)]
        faults = [_fault_of(line, form, number) for form in headed or forms]
        if None not in faults and (
            fault := next((fault for fault in faults if fault and fault.code in _NOTHING), None)
        ):
            yield f"{key}: {fault}"


def _fault_of(line: str, form: SummaryFormat, number: int) -> FormatError | None:
    try:
        summary.parse_stored(line, form, number)
    except FormatError as error:
        return error
    return None


def _is_seen(line: str) -> bool:
    """Whether a line holds a character that anybody can see."""
    return any(
        unicodedata.category(character)[0] in "LNPS" and character not in _BLANK_LETTERS
        for character in line
    )
