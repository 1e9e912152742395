"""What is certain of a caption that does not keep its format: whole objects, repairs listed.

`lenient_json` turns the text into trees; here trees become a caption. Nothing is invented: an
object is read whole or dropped with its reason, and a text of which nothing remains is an error,
never an empty caption. Several captions in one text are joined if they continue each other, and
refused if one of them would have to be chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from shenhe.errors import FormatError
from shenhe.formats import box_tokens, caption, caption_fields, lenient_json, thinking
from shenhe.formats.caption import OBJECT_KEY, PHOTO_KEY
from shenhe.formats.caption_builder import CaptionBuilder
from shenhe.formats.caption_object import OBJECT_FIELDS, holds_objects
from shenhe.formats.caption_tree import add_value
from shenhe.formats.lenient_json import JsonContainer, JsonList, JsonObject, JsonValue
from shenhe.formats.repairs import Repair
from shenhe.formats.repetition import drop_loops
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.geometry import Shape, Size
from shenhe.values import Caption

_FENCE = re.compile(r"```[a-zA-Z]{0,10}")
_BRACKET = re.compile(r"[{\[]")
_LINE = re.compile(r"[^\n]+\n?")
_SEPARATOR = re.compile(r"[\s,，;；]*")
_KEY_BEFORE = re.compile(r"[\s,，}\]]*[\"'](?P<key>[^\"'\s]{1,20})[\"']\s*[:：]\s*")
"""The key of a member that an extra bracket has put outside its object."""


class Recovery(NamedTuple):
    """A caption, the repairs made to read it (none: it was strict), and whether it was cut."""

    caption: Caption
    repairs: tuple[Repair, ...]
    truncated: bool


def recover(
    text: str,
    photo_count: int | None = None,
    frames: Sequence[Size] | None = None,
    form: CaptionFormat = PLAIN.caption,
) -> Recovery:
    r"""Read a caption strictly if possible, else what is certain of it.

    Shape and units: see `caption.parse`.
    Raises: FormatError with the code of the first problem if nothing is certain; header or
    photo_key for a caption in another format.

        >>> text = '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "标签"}]\n```'
        >>> [str(repair) for repair in recover(text, 1).repairs]
        ['code_fence', 'list_of_objects', 'label_as_desc: 图片_1/object_1']
    """
    recovery = _recover(text, photo_count, frames, form)
    caption_fields.refuse_unit_boxes(recovery.caption, frames)
    return recovery


def _recover(
    text: str, photo_count: int | None, frames: Sequence[Size] | None, form: CaptionFormat
) -> Recovery:
    try:
        return _drop_loops(caption.parse(text, photo_count, frames, form), [])
    except FormatError as error:
        if error.code == "empty":
            raise
        strict_error = error
    thought, answer = thinking.split(text)
    repairs: list[Repair] = []
    if thought:
        repairs.append(Repair("thinking", f"{len(thought)} characters"))
        try:
            return _drop_loops(caption.parse(answer, photo_count, frames, form), repairs)
        except FormatError as error:
            strict_error = error
    answer = _take_header(answer, form, repairs)
    if box_tokens.looks_like(answer):
        boxes = box_tokens.read(answer, photo_count, frames)
        repairs += [Repair("box_tokens"), *boxes.repairs]
        return _drop_loops(boxes.caption, repairs, truncated=boxes.truncated)
    builder = CaptionBuilder(photo_count, frames, strict_error, form)
    states_emptiness = _read_text(answer, builder)
    value = builder.build(states_emptiness=states_emptiness)
    repairs += builder.repairs.repairs()
    return _drop_loops(value, repairs, truncated=builder.truncated)


def _take_header(text: str, form: CaptionFormat, repairs: list[Repair]) -> str:
    """Take the header of a format out of a text, and record it if it is not where it should be.

    Raises: FormatError with code header for the header of another format.
    """
    bracket = _BRACKET.search(text)
    end = bracket.start() if bracket else len(text)
    for line in _LINE.finditer(text[:end]):
        header, _ = caption.split_header(line[0], form)
        if header:
            if text[: line.start()].strip() or not line[0].endswith("\n"):
                repairs.append(Repair("header", "not on a line of its own"))
            return text[: line.start()] + text[line.end() :]
    if form.header:
        repairs.append(Repair("header", "missing"))
    return text


def _drop_loops(value: Caption, repairs: list[Repair], *, truncated: bool = False) -> Recovery:
    value, loops = drop_loops(value)
    return Recovery(value, (*repairs, *loops), truncated)


def _read_text(text: str, builder: CaptionBuilder) -> bool:
    """Read the captions in a text; return whether it states that there are no objects."""
    values = [value for value in lenient_json.read(text) if _is_candidate(value.root)]
    if not values:
        raise builder.strict_error
    if any(_is_empty(value.root) for value in values):
        _refuse_empty(len(values))
    _note_outside(text[: values[0].start], "leading_text", builder)
    if len(values) > 1:
        _join(text, values, builder)
    else:
        add_value(values[0], builder)
    if builder.truncated:
        return False
    tail = text[values[-1].end :]
    _note_outside(tail, "trailing_text", builder)
    is_alone = len(values) == 1 and not _FENCE.sub("", tail).strip()
    return is_alone and _names_empty_photos(values[0].root)


def _note_outside(
    text: str, kind: Literal["leading_text", "trailing_text"], builder: CaptionBuilder
) -> None:
    """Record text outside the captions; code fences are recorded by themselves."""
    bare = _FENCE.sub("", text)
    if bare != text:
        builder.repairs.add("code_fence")
    if bare.strip():
        builder.repairs.add(kind, f"{len(bare.strip())} characters")


# --- several values in one text ---


def _join(text: str, values: list[JsonValue], builder: CaptionBuilder) -> None:
    """Add values that continue each other.

    Raises: FormatError with code structure if one of them would have to be chosen.
    """
    lists: list[set[Shape]] = []
    previous_end = values[0].start
    for value in values:
        root = _restore_key(text[previous_end : value.start], value.root, len(values), builder)
        previous_end = value.end
        if value is not values[0]:
            _refuse_restart(root, builder)
        count = len(builder.photos[-1]) if builder.photos else 0
        add_value(value._replace(root=root), builder)
        if builder.has_unnamed_photo() and not _is_single_object(root):
            lists.append({item.shape for item in builder.photos[-1][count:]})
    _refuse_drafts(lists)
    if "```" in text[values[0].end : values[-1].start]:
        builder.repairs.add("code_fence")
    builder.repairs.add("joined", f"{len(values)} values")


def _restore_key(
    between: str, root: JsonContainer, value_count: int, builder: CaptionBuilder
) -> JsonContainer:
    """Put a value back under its key if an extra bracket stands before that.

    Raises: FormatError with code structure for words between two values.
    """
    between = _FENCE.sub("", between)
    match = _KEY_BEFORE.fullmatch(between)
    if match and caption.is_key(match["key"]):
        builder.repairs.add("unbalanced")
        return JsonObject([(match["key"], root)], closed=root.closed)
    if not _SEPARATOR.fullmatch(between):
        raise FormatError(
            "structure", f"{value_count} captions stand in the text, with words between"
        )
    return root


def _refuse_restart(root: JsonContainer, builder: CaptionBuilder) -> None:
    """Refuse a value that does not continue those before it."""
    first = root.keys()[0] if isinstance(root, JsonObject) and root.members else ""
    if match := PHOTO_KEY.fullmatch(first):
        continues = int(match[1]) == len(builder.photos) + 1 and not builder.has_unnamed_photo()
    elif match := OBJECT_KEY.fullmatch(first):
        continues = int(match[1]) == builder.object_number + 1
    else:
        continues = builder.has_unnamed_photo() and not builder.has_numbered_objects()
    if not continues:
        raise FormatError("structure", "objects stand behind the end of the caption")


def _is_single_object(root: JsonContainer) -> bool:
    """Whether a value is one object, or numbers its objects, rather than a list of its own."""
    return isinstance(root, JsonObject) and any(
        key in OBJECT_FIELDS or caption.is_key(key) for key, _ in root.members
    )


def _refuse_drafts(lists: list[set[Shape]]) -> None:
    """Refuse lists that share a box: one of them is a draft of the other."""
    if sum(map(len, lists)) > len(set().union(*lists)):
        raise FormatError(
            "structure", f"{len(lists)} lists hold the same box: which of them is meant?"
        )


# --- which values are captions ---


def _is_candidate(root: JsonContainer) -> bool:
    """Whether a value is a caption, well-formed or not; `[3]` in prose is not."""
    return _is_empty(root) or holds_objects(root)


def _is_empty(root: JsonContainer) -> bool:
    children = root.items if isinstance(root, JsonList) else root.members
    return root.closed and not children and not root.stray


def _names_empty_photos(root: JsonContainer) -> bool:
    """Whether a value names photos, and each of them is an empty object."""
    if not isinstance(root, JsonObject) or root.stray or not root.members:
        return False
    return all(
        PHOTO_KEY.fullmatch(key) and isinstance(node, JsonObject) and _is_empty(node)
        for key, node in root.members
    )


def _refuse_empty(value_count: int) -> None:
    if value_count > 1:
        raise FormatError("structure", "an empty caption stands beside another one")
    raise FormatError("empty", "the caption names no photo: a photo without objects is 图片_1: {}")
