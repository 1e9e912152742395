"""Rewards for GRPO training: formats, verdicts and reasons, read as everything here reads them.

Each has the signature that TRL gives a reward function: the completions (texts, or conversations
of one message), and the columns of the data set by name; one number a completion comes back.
`shenhe.rewards.swift_plugin` is the same as a plugin of ms-swift's.

    from trl import GRPOTrainer
    from shenhe import rewards
    GRPOTrainer(..., reward_funcs=[rewards.verdict_format, rewards.verdict_right])
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from shenhe.config import load_vocabulary
from shenhe.errors import FormatError, GeometryError
from shenhe.formats import caption, summary, verdict
from shenhe.values import EXPECTED, PASS, Judgement, Label, photo_key

FALSE_PASS = -1.0
"""What a verdict is worth that passes a group which people failed: less than saying nothing."""
ONLY_NAMES = 0.5
"""What a reason is worth that names photos, and nothing that is on them."""
Completion = str | Sequence[Mapping[str, Any]]
_WORD = re.compile(r"[A-Z]*[\u4e00-\u9fff]+")


def caption_format(completions: Sequence[Completion], **columns: Any) -> list[float]:
    """Give 1 for a strict caption, else 0; of as many photos as the column `images` has for it."""
    images = columns.get("images") or [None] * len(completions)
    found = []
    for completion, some in zip(completions, images, strict=True):
        try:
            value = caption.parse(_text(completion), len(some) if some else None)
        except (FormatError, GeometryError):
            found.append(0.0)
        else:
            found.append(float(bool(value.photos)))  # a caption of no photo is none
    return found


def summary_format(completions: Sequence[Completion], **columns: Any) -> list[float]:
    """Give 1 for a well-formed Stage-A line, else 0."""
    return [_reads(summary.parse, _text(completion)) for completion in completions]


def verdict_format(completions: Sequence[Completion], **columns: Any) -> list[float]:
    """Give 1 for a well-formed verdict, else 0."""
    return [_reads(verdict.parse, _text(completion)) for completion in completions]


def verdict_right(
    completions: Sequence[Completion], label: Sequence[Label | None], **columns: Any
) -> list[float]:
    """Give 1 for the verdict of `label` (pass, fail), -1 for a false pass, else 0.

    A group without a label gives 0, whatever is said of it.
    """
    found = []
    for completion, said in zip(completions, label, strict=True):
        judgement = _judgement(completion)
        if judgement is None or said is None:
            found.append(0.0)
        elif judgement.verdict == EXPECTED[said]:
            found.append(1.0)
        else:
            found.append(FALSE_PASS if judgement.verdict == PASS else 0.0)
    return found


def reason_grounded(
    completions: Sequence[Completion],
    lines: Sequence[str | Sequence[str] | Mapping[str, str | None]],
    **columns: Any,
) -> list[float]:
    """Give the share of a reason's words that stand in the lines of the photos it names.

    `lines` are those of each group: {"图片_1": line}, the same as JSON, or a list in their order.
    Words are the vocabulary's attributes. A malformed verdict, a photo that there is none of, and a
    pass that states a fault give 0.
    """
    return [
        _grounded(judgement, _lines(some)) if (judgement := _judgement(completion)) else 0.0
        for completion, some in zip(completions, lines, strict=True)
    ]


REWARDS: Mapping[str, Callable[..., list[float]]] = {
    "shenhe_caption_format": caption_format,
    "shenhe_summary_format": summary_format,
    "shenhe_verdict_format": verdict_format,
    "shenhe_verdict_right": verdict_right,
    "shenhe_reason_grounded": reason_grounded,
}
"""All of them, by the names that ms-swift's --reward_funcs knows them by."""


def _text(completion: Completion) -> str:
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content", "") if completion else ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def _reads(parse: Callable[[str], object], text: str) -> float:
    try:
        parse(text)
    except FormatError:
        return 0.0
    return 1.0


def _judgement(completion: Completion) -> Judgement | None:
    try:
        return verdict.parse(_text(completion))
    except FormatError:
        return None


def _lines(some: str | Sequence[str] | Mapping[str, str | None]) -> dict[str, str]:
    if isinstance(some, str):
        return _lines(json.loads(some))
    if isinstance(some, Mapping):
        # A table of rows with different keys holds nothing for those that a row has not.
        return {key: line for key, line in some.items() if line is not None}
    return {photo_key(index): line for index, line in enumerate(some)}


def _grounded(judgement: Judgement, lines: Mapping[str, str]) -> float:
    reason = judgement.reason
    named = verdict.photos_named(reason)
    if not named <= lines.keys():
        return 0.0
    if judgement.verdict == PASS and set(_words(reason)) & set(_faults()):
        return 0.0
    everywhere = {word for line in lines.values() for word in _words(line)}
    right = total = 0
    seen = everywhere
    for part in re.split(r"(图片_\d+)", reason):
        if part in named:
            seen = set(_words(lines[part]))
            continue
        found = _words(part)
        total += len(found)
        right += sum(word in seen for word in found)
    if not total:
        return ONLY_NAMES if named else 0.0
    return right / total


def _words(text: str) -> list[str]:
    """Find the vocabulary's words in a text, the longest first: 不符合要求 is not 符合要求."""
    return [match[0] for match in _attributes().finditer(text)]


@cache
def _attributes() -> re.Pattern[str]:
    """Take the words behind the category of each path."""
    words = {
        word for path in load_vocabulary().paths for word in _WORD.findall(path.partition("/")[2])
    }
    return re.compile("|".join(sorted(words, key=len, reverse=True)))


@cache
def _faults() -> tuple[str, ...]:
    """Give the words that state a fault."""
    return tuple(load_vocabulary().faults)
