"""Faults that an opinion states: a 通过 in spite of one must be confirmed before it is stored."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence

from shenhe.rows.decision_rows import Opinion

FAULT_WORDS = (
    *("不通过", "不合格", "不符合", "未按要求", "未安装"),
    *("缺少", "缺失", "松动", "脱落", "破损"),
)
"""Words of a fault that are searched for whatever the vocabulary lists."""


def find_faults(opinion: Opinion, vocabulary: Sequence[str]) -> tuple[str, ...]:
    """List the faults that were chosen, or written in the comment, a line or a desc, each once.

    Negations count as well ("没有未拧紧"): a needless question costs a click, a missing one may
    cost a false pass.

        >>> find_faults(Opinion(choice="通过", comment="螺丝未 拧紧"), ["未拧紧"])
        ('未拧紧',)
    """
    words = sorted({*vocabulary, *FAULT_WORDS}, key=lambda word: (-len(word), word))
    faults = list(opinion.faults)
    for text in _list_texts(opinion):
        compact = "".join(unicodedata.normalize("NFKC", text).split())
        for word in words:
            if word in compact:
                faults.append(word)
                compact = compact.replace(word, "\0")
    return tuple(dict.fromkeys(faults))


def faults_digest(faults: Sequence[str]) -> str:
    """Identify a set of faults in an address: a confirmation holds for these faults alone."""
    return hashlib.sha256("\0".join(faults).encode()).hexdigest()[:12]


def _list_texts(opinion: Opinion) -> Iterator[str]:
    yield opinion.comment
    yield from opinion.lines.values()
    for descs in opinion.descs.values():
        yield from (desc for desc in descs.values() if desc is not None)
    for objects in opinion.shapes.values():
        yield from (item.desc for item in objects)
