"""What is certain of a caption that does not keep its format: complete objects, repairs listed.

Nothing is invented: an object is taken whole or dropped with its reason, and a text of which
nothing remains is an error, never an empty caption. Where a text holds more than one caption they
are joined if they go on from each other, and refused if one of them had to be chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from shenhe.errors import FormatError
from shenhe.formats import box_tokens, caption, lenient_json, thinking
from shenhe.formats.caption import OBJECT_KEY, PHOTO_KEY
from shenhe.formats.caption_object import KEYS, holds_objects
from shenhe.formats.caption_reading import FENCE, Reading
from shenhe.formats.lenient_json import JsonContainer, JsonList, JsonObject, JsonValue
from shenhe.formats.repetition import drop_loops
from shenhe.geometry import Shape, Size
from shenhe.values import Caption

_BETWEEN = re.compile(r"[\s,，;；]*")
_KEY_BEFORE = re.compile(r"[\s,，}\]]*[\"'](?P<key>[^\"'\s]{1,20})[\"']\s*[:：]\s*")
"""What stands before a member that a bracket too many has put outside."""


class Recovery(NamedTuple):
    """A caption, what was done to read it (empty: nothing), and whether its end is missing."""

    caption: Caption
    repairs: tuple[str, ...]
    truncated: bool


def recover(
    text: str, photo_count: int | None = None, frames: Sequence[Size] | None = None
) -> Recovery:
    """Read a caption, strictly if it can be, else what is certain of it.

    Shape and units: see `caption.parse`.  Each repair is `code` or `code: detail`.
    Raises: FormatError with the code of what is wrong, where nothing is certain.
    """
    recovery = _recover(text, photo_count, frames)
    caption.refuse_unit_boxes(recovery.caption, frames)
    return recovery


def _recover(text: str, photo_count: int | None, frames: Sequence[Size] | None) -> Recovery:
    try:
        return _without_loops(caption.parse(text, photo_count, frames), [], False)
    except FormatError as error:
        if error.code == "empty":
            raise
        strict = error
    thought, answer = thinking.split(text)
    repairs = []
    if thought:
        repairs.append(f"thinking: {len(thought)} characters")
        try:
            return _without_loops(caption.parse(answer, photo_count, frames), repairs, False)
        except FormatError as error:
            strict = error
    if box_tokens.looks_like(answer):
        boxes = box_tokens.read(answer, photo_count, frames)
        return _without_loops(
            boxes.caption, [*repairs, "box_tokens", *boxes.repairs], boxes.truncated
        )
    reading = Reading(photo_count, frames, strict)
    value = reading.caption(_read(answer, reading))
    return _without_loops(value, [*repairs, *reading.repairs()], reading.truncated)


def _without_loops(value: Caption, repairs: list[str], truncated: bool) -> Recovery:
    value, loops = drop_loops(value)
    return Recovery(value, (*repairs, *loops), truncated)


def _read(text: str, reading: Reading) -> bool:
    """Read a text; give whether it says that there is nothing."""
    values = lenient_json.read(text)
    candidates = [value for value in values if _is_candidate(value.root)]
    if not candidates:
        raise reading.strict
    if any(_is_empty(value.root) for value in candidates):
        _refuse_empty(len(candidates))
    reading.outside(text[: candidates[0].start], "leading_text")
    if len(candidates) > 1:
        _join(text, candidates, reading)
    else:
        reading.take_value(candidates[0])
    if reading.truncated:
        return False
    last = candidates[-1]
    behind = text[last.end :]
    reading.outside(behind, "trailing_text")
    is_alone = len(candidates) == 1 and not FENCE.sub("", behind).strip()
    return is_alone and _is_plainly_empty(last.root)


def _refuse_empty(candidates: int) -> None:
    if candidates > 1:
        raise FormatError("structure", "an empty caption stands beside another one")
    raise FormatError("empty", "the caption names no photo: a photo without objects is 图片_1: {}")


def _join(text: str, values: list[JsonValue], reading: Reading) -> None:
    """Take values that go on from each other; where one had to be chosen, none is.

    Raises: FormatError with code structure.
    """
    lists: list[set[Shape]] = []
    for at, value in enumerate(values):
        between = text[values[at - 1].end : value.start] if at else ""
        root, key = value.root, _KEY_BEFORE.fullmatch(FENCE.sub("", between))
        if key and caption.is_key(key["key"]):  # a bracket too many stands before it
            root = JsonObject([(key["key"], root)], closed=root.closed)
            reading.note("unbalanced")
        elif not _BETWEEN.fullmatch(FENCE.sub("", between)):
            raise FormatError(
                "structure", f"{len(values)} captions stand in the text, with words between"
            )
        _refuse_beginning_anew(reading, root, at)
        before = len(reading.photos[-1]) if reading.photos else 0
        reading.take_value(value._replace(root=root))
        if reading.is_one_photo() and not _is_one_of_many(root):
            lists.append({thing.shape for thing in reading.photos[-1][before:]})
    _refuse_drafts(lists)
    if "```" in text[values[0].end : values[-1].start]:
        reading.note("code_fence")
    reading.note("joined", f"{len(values)} values")


def _refuse_beginning_anew(reading: Reading, root: JsonContainer, at: int) -> None:
    """Refuse a value that does not go on from those before it."""
    first = root.keys()[0] if isinstance(root, JsonObject) and root.members else ""
    photo, thing = PHOTO_KEY.fullmatch(first), OBJECT_KEY.fullmatch(first)
    if at == 0:
        return
    if photo:
        goes_on = int(photo[1]) == len(reading.photos) + 1 and not reading.is_one_photo()
    elif thing:
        goes_on = int(thing[1]) == reading.in_photo + 1
    else:
        goes_on = reading.is_one_photo() and "photo_key_missing" not in reading.notes
    if not goes_on:
        raise FormatError("structure", "objects stand behind the end of the caption")


def _is_one_of_many(root: JsonContainer) -> bool:
    """Whether a value is one object, or keeps count of them, rather than a list of its own."""
    return isinstance(root, JsonObject) and any(
        key in KEYS or caption.is_key(key) for key, _ in root.members
    )


def _refuse_drafts(lists: list[set[Shape]]) -> None:
    """Refuse lists that hold the same box: one of them is another's draft."""
    if sum(map(len, lists)) > len(set().union(*lists)):
        raise FormatError(
            "structure", f"{len(lists)} lists hold the same box: which of them is meant?"
        )


def _is_candidate(root: JsonContainer) -> bool:
    """Whether a value is a caption or means to be one; `[3]` in prose is none."""
    return _is_empty(root) or holds_objects(root)


def _is_empty(root: JsonContainer) -> bool:
    inside = root.items if isinstance(root, JsonList) else root.members
    return root.closed and not inside and not root.stray


def _is_plainly_empty(root: JsonContainer) -> bool:
    """Whether each photo is named, and said to hold nothing."""
    if not isinstance(root, JsonObject) or root.stray or not root.members:
        return False
    return all(
        PHOTO_KEY.fullmatch(key) and isinstance(node, JsonObject) and _is_empty(node)
        for key, node in root.members
    )
