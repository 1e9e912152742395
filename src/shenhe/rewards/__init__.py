"""Rewards for GRPO training: formats, verdicts and reasons, read by the parsers of this package.

Each reward has TRL's signature: completions (texts, or conversations of one message) and the
columns of the data set by name in, one number a completion out. `formats` are those of the model's
texts, plain if not given: `functools.partial(rewards.verdict_format, formats="domain")`.
`shenhe.rewards.swift_plugin` registers them with ms-swift.

    from trl import GRPOTrainer
    from shenhe import rewards
    GRPOTrainer(..., reward_funcs=[rewards.verdict_format, rewards.verdict_right])
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial

from shenhe.config import load_formats, load_vocabulary
from shenhe.errors import FormatError, GeometryError
from shenhe.formats import caption, summary, verdict
from shenhe.formats.text_formats import TextFormats, VerdictFormat
from shenhe.values import EXPECTED, PASS, Judgement, Label, photo_key

FALSE_PASS = -1.0
"""Reward of a verdict that passes a group which people failed: less than that of no verdict."""
ONLY_NAMES = 0.5
"""Reward of a reason that names photos and no word of their lines."""
Completion = str | Sequence[Mapping[str, object]]
"""A text, or a conversation: the `content` of its last message is a text or a list of parts."""
GroupLines = str | Sequence[str] | Mapping[str, str | None]
"""The lines of one group: {"图片_1": line}, the same as JSON, or a list in the photos' order."""
Formats = str | TextFormats
"""Text formats that the model is trained on: plain, keyed, domain, or the name of a TOML file."""
_WORD = re.compile(r"[A-Z\u4e00-\u9fff]*[\u4e00-\u9fff]")


def caption_format(
    completions: Sequence[Completion],
    images: Sequence[Sequence[object] | None] | None = None,
    formats: Formats = "",
    **columns: object,
) -> list[float]:
    """Return 1 for a strict caption, else 0; its count of photos must be that of `images`, if set.

    >>> caption_format(['{"图片_1": {}}', "no caption"], images=[["1.jpg"], ["2.jpg"]])
    [1.0, 0.0]
    """
    rewards, form = [], _load(formats).caption
    for completion, photos in zip(completions, images or [None] * len(completions), strict=True):
        try:
            value = caption.parse(_text(completion), len(photos) if photos else None, form=form)
        except (FormatError, GeometryError):
            rewards.append(0.0)
        else:
            rewards.append(float(bool(value.photos)))  # no photo is no caption
    return rewards


def summary_format(
    completions: Sequence[Completion], formats: Formats = "", **columns: object
) -> list[float]:
    """Return 1 for a well-formed Stage-A line, else 0.

    >>> summary_format(["标签/可以识别×2", ""])
    [1.0, 0.0]
    """
    parse = partial(summary.parse, form=_load(formats).summary)
    return [_is_valid(parse, _text(completion)) for completion in completions]


def verdict_format(
    completions: Sequence[Completion], formats: Formats = "", **columns: object
) -> list[float]:
    r"""Return 1 for a well-formed verdict, else 0.

    >>> verdict_format(["通过\n理由: 图片_1 显示完整", "通过"])
    [1.0, 0.0]
    """
    parse = partial(verdict.parse, form=_load(formats).verdict)
    return [_is_valid(parse, _text(completion)) for completion in completions]


def verdict_right(
    completions: Sequence[Completion],
    label: Sequence[Label | None],
    formats: Formats = "",
    **columns: object,
) -> list[float]:
    r"""Return 1 for the verdict that `label` (pass, fail) asks for, -1 for a false pass, else 0.

    The reward of a group without a label is 0.

    >>> verdict_right(["通过\n理由: 显示完整"] * 3, label=["pass", "fail", None])
    [1.0, -1.0, 0.0]
    """
    rewards, form = [], _load(formats).verdict
    for completion, expected in zip(completions, label, strict=True):
        judgement = _judgement(completion, form)
        if judgement is None or expected is None:
            rewards.append(0.0)
        elif judgement.verdict == EXPECTED[expected]:
            rewards.append(1.0)
        else:
            rewards.append(FALSE_PASS if judgement.verdict == PASS else 0.0)
    return rewards


def reason_grounded(
    completions: Sequence[Completion],
    lines: Sequence[GroupLines],
    formats: Formats = "",
    **columns: object,
) -> list[float]:
    r"""Return the share of a reason's words that stand in the lines of the photos it names.

    Words are the attributes of the vocabulary. The reward is 0 for a malformed verdict, for a photo
    that the group does not have, and for a pass that states a fault.

    >>> reason_grounded(["通过\n理由: 图片_1 显示完整"], [{"图片_1": "BBU设备/华为/显示完整×1"}])
    [1.0]
    """
    form = _load(formats).verdict
    return [
        _grounded(judgement, _lines(group)) if (judgement := _judgement(completion, form)) else 0.0
        for completion, group in zip(completions, lines, strict=True)
    ]


REWARDS: Mapping[str, Callable[..., list[float]]] = {
    "shenhe_caption_format": caption_format,
    "shenhe_summary_format": summary_format,
    "shenhe_verdict_format": verdict_format,
    "shenhe_verdict_right": verdict_right,
    "shenhe_reason_grounded": reason_grounded,
}
"""All rewards by their names in ms-swift's --reward_funcs."""


@cache
def _load(formats: Formats) -> TextFormats:
    return load_formats(formats)


def _text(completion: Completion) -> str:
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content", "") if completion else ""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _is_valid(parse: Callable[[str], object], text: str) -> float:
    try:
        parse(text)
    except FormatError:
        return 0.0
    return 1.0


def _judgement(completion: Completion, form: VerdictFormat) -> Judgement | None:
    try:
        return verdict.parse(_text(completion), form)
    except FormatError:
        return None


def _lines(group: GroupLines) -> dict[str, str]:
    if isinstance(group, str):
        return _lines(json.loads(group))
    if isinstance(group, Mapping):
        # A table fills the keys that a row lacks with None.
        return {key: line for key, line in group.items() if line is not None}
    return {photo_key(index): line for index, line in enumerate(group)}


def _grounded(judgement: Judgement, lines: Mapping[str, str]) -> float:
    reason = judgement.reason
    named = verdict.photos_named(reason)
    if not named <= lines.keys():
        return 0.0
    if judgement.verdict == PASS and any(
        word.endswith(fault) for word in _words(reason) for fault in _faults()
    ):
        return 0.0
    photo_words = {word for line in lines.values() for word in _words(line)}
    grounded = total = 0
    for photo, part in verdict.split_by_photos(reason):
        if photo:
            photo_words = set(_words(lines[photo]))
            continue
        words = _words(part)
        total += len(words)
        grounded += sum(word in photo_words for word in words)
    if not total:
        return ONLY_NAMES if named else 0.0
    return grounded / total


def _words(text: str) -> list[str]:
    """Find the words of the vocabulary in a text, the longest first: 不符合要求 is not 符合要求."""
    return [match[0] for match in _attributes().finditer(text)]


@cache
def _attributes() -> re.Pattern[str]:
    """Return the pattern of the words behind the category of each path."""
    paths = [path.partition("/") for path in load_vocabulary().paths]
    words = {word for _, _, levels in paths for word in _WORD.findall(levels)}
    words -= {word for category, _, _ in paths for word in _WORD.findall(category)}
    return re.compile("|".join(sorted(words, key=len, reverse=True)))


@cache
def _faults() -> tuple[str, ...]:
    """Return the words that state a fault."""
    return tuple(load_vocabulary().faults)
