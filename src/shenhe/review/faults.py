"""The faults that a decision states: with them, 通过 is asked back before it is stored."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence

from shenhe.rows.decision_rows import Opinion

AGAINST = (
    *("不通过", "不合格", "不符合", "未按要求", "未安装"),
    *("缺少", "缺失", "松动", "脱落", "破损"),
)
"""Words of a fault that no vocabulary has to list."""


def stated_faults(said: Opinion, vocabulary: Sequence[str]) -> tuple[str, ...]:
    """List the faults that were chosen, or written in the comment, a line or a desc.

    Each is named once. A word is looked for as it stands, "没有未拧紧" too: a question too many
    costs a click, one too few a false pass.

        >>> stated_faults(Opinion(choice="通过", comment="螺丝未 拧紧"), ["未拧紧"])
        ('未拧紧',)
    """
    words = sorted({*vocabulary, *AGAINST}, key=lambda word: (-len(word), word))
    faults = [said.fault] if said.fault else []
    for text in _written(said):
        squeezed = "".join(unicodedata.normalize("NFKC", text).split())
        for word in words:
            if word in squeezed:
                faults.append(word)
                squeezed = squeezed.replace(word, "\0")
    return tuple(dict.fromkeys(faults))


def despite(faults: Sequence[str]) -> str:
    """Name a set of faults in an address: who passes despite these has been asked about these."""
    return hashlib.sha256("\0".join(faults).encode()).hexdigest()[:12]


def _written(said: Opinion) -> Iterator[str]:
    yield said.comment
    yield from said.lines.values()
    for descs in said.descs.values():
        yield from (desc for desc in descs.values() if desc is not None)
