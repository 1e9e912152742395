"""What the model said of a group, whatever held it back, and why a group is undecided.

Rows of every version are read: those of earlier ones do not name the ruling of an undecided group.
"""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from shenhe.errors import FormatError
from shenhe.formats import verdict
from shenhe.formats.text_formats import VerdictFormat
from shenhe.proportions import log_odds
from shenhe.row_types import VerdictRow
from shenhe.rows.row_formats import verdict_format_of
from shenhe.values import (
    FORMAT,
    LEFT_OUT,
    PASS,
    STAGE_A_INCOMPLETE,
    UNDECIDED_CODES,
    UNSURE,
    Judgement,
    Ruling,
)

ROUNDED: Final = 0.01
"""Maximum difference of a probability that another tool has rounded."""
INCOMPLETE: Final = "阶段A未完成"
"""Beginning of the reason of a group without one line a photo, which has no code before it."""
_INCOMPLETE: Final = (INCOMPLETE, "第一阶段未完成")
"""The same, also as earlier versions wrote it."""
_CODED = re.compile(r"([a-z][a-z0-9_]*): (.*)", re.DOTALL)
_NO_MAJORITY: Final = ": no majority"
_FORMERLY_SAID: Final = frozenset((UNSURE, LEFT_OUT))
"""Codes of earlier versions for which a group was undecided though its answer was well-formed."""
_SAID: Final = frozenset(UNDECIDED_CODES) - {FORMAT}
"""The same of this version. What an engine failed at, and reasons that nobody knows, are none."""


class Statement(NamedTuple):
    """What the model said of a group; no `ruling` where it said nothing that can be read.

    `log_odds` are those of 通过, infinite where nothing but a `p_pass` of 1 or 0 is known.
    """

    ruling: Ruling | None
    reason: str
    p_pass: float | None
    log_odds: float | None


def statement_of(row: VerdictRow) -> Statement:
    """Tell what the model said of the group of a row.

    It said nothing where the text and the verdict of a row contradict each other, and where nobody
    knows why a row is undecided.
    """
    form = verdict_format_of(row.meta.formats)
    written = judgement_of(row.raw, form) if form is not None else None
    said = [written.reason if written is not None else row.raw]
    if row.verdict is not None:
        said.insert(0, row.reason)
    elif isinstance(formerly := row.extra.get("reason"), str):
        said.insert(0, formerly)
    reason = "; ".join(dict.fromkeys(filter(None, said)))
    ruling = _ruling_of(row, written)
    if form is None and ruling == PASS:
        ruling = None  # nobody can tell what the text says
    return Statement(ruling, reason, row.p_pass, _log_odds_of(row))


def judgement_of(raw: str, form: VerdictFormat) -> Judgement | None:
    """Read a text in a format; None if it cannot be read in it.

    Example:
        judgement = judgement_of(row.raw, load_formats("domain").verdict)

    """
    try:
        return verdict.parse(raw, form)
    except FormatError:
        return None


def codes_of(row: VerdictRow) -> list[str]:
    """List the codes for which a group is undecided, the decisive one first.

    In rows of earlier versions the reason begins with the only one.
    """
    if row.meta.why or row.verdict is not None:
        return list(row.meta.why)
    code, _ = split_reason(row.reason)
    return [code] if code else []


def split_reason(reason: str) -> tuple[str, str]:
    """Split the reason of an undecided group into its code, empty if it has none, and the rest.

    >>> split_reason("unsure: of 3 votes 1 通过: no majority")
    ('unsure', 'of 3 votes 1 通过: no majority')
    >>> split_reason("第一阶段未完成: img-2.jpg (truncated)")[0]
    'stage_a_incomplete'
    """
    if coded := _CODED.fullmatch(reason):
        return coded[1], coded[2]
    if reason.startswith(_INCOMPLETE):
        return STAGE_A_INCOMPLETE, reason
    return (reason if reason in UNDECIDED_CODES else ""), reason


def _log_odds_of(row: VerdictRow) -> float | None:
    """Give the log-odds of a row; None where they contradict its probability."""
    odds = row.meta.log_odds
    if row.p_pass is None:
        return odds
    if odds is None:
        return log_odds(row.p_pass)
    probability = 1 / (1 + math.exp(min(-odds, 700.0)))
    return odds if abs(probability - row.p_pass) <= ROUNDED else None


def _ruling_of(row: VerdictRow, written: Judgement | None) -> Ruling | None:
    is_named = row.meta.ruling is not None
    if row.verdict is None:
        is_named = "ruling" in row.meta.model_fields_set  # null: no majority, nothing readable
        codes = codes_of(row)
        if not codes or not (_SAID if is_named else _FORMERLY_SAID).issuperset(codes):
            return None
    if is_named:
        claims_pass = row.meta.ruling == PASS and written is not None and written.verdict != PASS
        return None if claims_pass else row.meta.ruling
    if row.verdict is not None:
        return row.verdict if written is None or written.verdict == row.verdict else None
    if row.reason.endswith(_NO_MAJORITY):
        return None
    return written.verdict if written else None
