"""What is certain of a caption that does not keep its format: complete objects, repairs listed.

Nothing is invented: an object is taken whole or dropped with its reason, and a text of which
nothing remains is an error, never an empty caption. Where a text holds more than one caption they
are joined if they go on from each other, and refused if one of them had to be chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shenhe.errors import FormatError
from shenhe.formats import box_tokens, caption, lenient_json, thinking
from shenhe.formats.caption import OBJECT_KEY, PHOTO_KEY
from shenhe.formats.caption_object import KEYS, holds_objects, make
from shenhe.formats.lenient_json import JsonContainer, JsonList, JsonNode, JsonObject, JsonValue
from shenhe.formats.repetition import without_loops
from shenhe.geometry import Shape, Size
from shenhe.records import Caption, CaptionObject, photo_key

MAX_WRAPPERS = 4
"""Outer keys that a list may stand under, one in the other."""
_FENCE = re.compile(r"```[a-zA-Z]{0,10}")
_BETWEEN = re.compile(r"[\s,，;；]*")
_KEY_BEFORE = re.compile(r"[\s,，}\]]*[\"'](?P<key>[^\"'\s]{1,20})[\"']\s*[:：]\s*")
"""What stands before a member that a bracket too many has put outside."""

Member = tuple[str, JsonNode]


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
    reading = _Reading(answer, photo_count, frames, strict)
    reading.read()
    return _without_loops(reading.caption(), [*repairs, *reading.repairs()], reading.truncated)


def _without_loops(value: Caption, repairs: list[str], truncated: bool) -> Recovery:
    value, loops = without_loops(value)
    return Recovery(value, (*repairs, *loops), truncated)


class _Reading:
    """One pass over the values of a text: photos and objects by their keys."""

    def __init__(
        self,
        text: str,
        photo_count: int | None,
        frames: Sequence[Size] | None,
        strict: FormatError,
    ) -> None:
        """Hold a text; `strict` is told where nothing can be recovered."""
        self._text, self._photo_count, self._frames = text, photo_count, frames
        self._strict = strict
        self.truncated = False
        self._photos: list[list[CaptionObject]] = []
        self._notes: dict[str, list[str]] = {}
        self._oddities: tuple[str, ...] = ()
        self._dropped: FormatError | None = None
        self._plainly_empty = False
        """Whether the text says that there is nothing, rather than nothing that can be read."""
        self._in_photo = 0
        """Objects of the present photo that the text holds, the dropped ones too."""
        self._is_inside = False
        """Whether the text ends inside an object."""
        self._hoisted = 0
        """Members that stand deeper than they belong, each behind a bracket that is missing."""

    def read(self) -> None:
        """Read the text."""
        values = lenient_json.read(self._text)
        candidates = [value for value in values if _is_candidate(value.root)]
        if not candidates:
            raise self._strict
        if any(_is_empty(value.root) for value in candidates):
            self._refuse_empty(len(candidates))
        self._outside(self._text[: candidates[0].start], "leading_text")
        if len(candidates) > 1:
            self._join(candidates)
        else:
            self._take_value(candidates[0])
        last = candidates[-1]
        if self.truncated:
            return
        behind = self._text[last.end :]
        self._plainly_empty = (
            len(candidates) == 1
            and _is_plainly_empty(last.root)
            and not _FENCE.sub("", behind).strip()
        )
        self._outside(behind, "trailing_text")

    def caption(self) -> Caption:
        """Give what was read; see `recover` for what it raises."""
        if not any(self._photos):
            if self._dropped is not None:
                raise self._dropped
            if self.truncated:
                raise FormatError("truncated", "the text ends before its first whole object")
            if not self._plainly_empty:
                raise self._strict
        if self._photo_count is not None and len(self._photos) != self._photo_count:
            raise FormatError(
                "photo_count", f"expected {self._photo_count} photos, got {len(self._photos)}"
            )
        return Caption(tuple(map(tuple, self._photos)))

    def repairs(self) -> list[str]:
        """List what was done, each kind once, with its details."""
        return [
            f"{code}: {'; '.join(filter(None, details))}" if any(details) else code
            for code, details in self._notes.items()
        ]

    # --- several values ---

    def _refuse_empty(self, candidates: int) -> None:
        if candidates > 1:
            raise FormatError("structure", "an empty caption stands beside another one")
        raise FormatError(
            "empty", "the caption names no photo: a photo without objects is 图片_1: {}"
        )

    def _join(self, values: list[JsonValue]) -> None:
        """Take values that go on from each other; where one had to be chosen, none is.

        Raises: FormatError with code structure.
        """
        lists: list[set[Shape]] = []
        for at, value in enumerate(values):
            between = self._text[values[at - 1].end : value.start] if at else ""
            root, key = value.root, _KEY_BEFORE.fullmatch(_FENCE.sub("", between))
            if key and caption.is_key(key["key"]):  # a bracket too many stands before it
                root = JsonObject([(key["key"], root)], closed=root.closed)
                self._note("unbalanced")
            elif not _BETWEEN.fullmatch(_FENCE.sub("", between)):
                raise FormatError(
                    "structure", f"{len(values)} captions stand in the text, with words between"
                )
            self._refuse_beginning_anew(root, at)
            before = len(self._photos[-1]) if self._photos else 0
            self._take_value(value._replace(root=root))
            if isinstance(root, JsonList):
                lists.append({thing.shape for thing in self._photos[-1][before:]})
        self._refuse_drafts(lists)
        if "```" in self._text[values[0].end : values[-1].start]:
            self._note("code_fence")
        self._note("joined", f"{len(values)} values")

    def _refuse_beginning_anew(self, root: JsonContainer, at: int) -> None:
        """Refuse a value that does not go on from those before it."""
        first = root.keys()[0] if isinstance(root, JsonObject) and root.members else ""
        photo, thing = PHOTO_KEY.fullmatch(first), OBJECT_KEY.fullmatch(first)
        if at == 0:
            return
        if photo:
            goes_on = int(photo[1]) == len(self._photos) + 1 and not self._is_one_photo()
        elif thing:
            goes_on = int(thing[1]) == self._in_photo + 1
        else:
            goes_on = self._is_one_photo() and "photo_key_missing" not in self._notes
        if not goes_on:
            raise FormatError("structure", "objects stand behind the end of the caption")

    def _is_one_photo(self) -> bool:
        """Whether what was read so far named no photo."""
        return not self._notes.keys().isdisjoint(
            {"list_of_objects", "single_object", "photo_key_missing"}
        )

    @staticmethod
    def _refuse_drafts(lists: list[set[Shape]]) -> None:
        """Refuse lists that hold the same box: one of them is another's draft."""
        if sum(map(len, lists)) > len(set().union(*lists)):
            raise FormatError(
                "structure", f"{len(lists)} lists hold the same box: which of them is meant?"
            )

    # --- one value ---

    def _take_value(self, value: JsonValue) -> None:
        self._oddities = value.oddities
        hoisted = self._hoisted
        self._take(value.root)
        self._see_oddities()
        unclosed = value.unclosed - (self._hoisted - hoisted)
        if value.ends_inside or unclosed > 0 or self._is_inside:
            self.truncated = True
            self._note("truncated", f"the text ends {self._place()}" if self._photos else "")
        if value.misplaced or self._hoisted > hoisted:
            self._note("unbalanced")
        elif not self.truncated and not value.is_json():
            self._note("punctuation")

    def _take(self, root: JsonContainer) -> None:
        """Take what a list, an object, or what stands under one outer key holds."""
        for _ in range(MAX_WRAPPERS):
            if isinstance(root, JsonList):
                self._take_list(root)
                return
            keys = root.keys()
            if not KEYS.isdisjoint(keys):
                self._begin_alone("single_object")
                self._walk(self._thing("", root), 2)
                return
            if any(PHOTO_KEY.fullmatch(key) for key in keys):
                self._stray(root)
                self._walk(root.members, 0)
                return
            if any(OBJECT_KEY.fullmatch(key) for key in keys):
                if not self._photos:
                    self._begin_alone("photo_key_missing")
                self._stray(root)
                self._walk(root.members, 1)
                return
            root = self._unwrapped(root)
        raise self._strict

    def _unwrapped(self, root: JsonObject) -> JsonContainer:
        """Give the only member that holds objects, whatever its key."""
        holding = [member for member in root.members if holds_objects(member[1])]
        if not holding:
            raise self._strict
        if len(holding) > 1:
            names = ", ".join(repr(key[:20]) for key, _ in holding[:4])
            raise FormatError("structure", f"objects stand under several keys: {names}")
        ((key, node),) = holding
        self._note("wrapper", key[:40] or "{")
        self._unknown([other for other in root.members if other[1] is not node])
        assert not isinstance(node, lenient_json.JsonScalar)  # a scalar holds nothing
        return node

    def _take_list(self, root: JsonList) -> None:
        first = root.items[0]
        if isinstance(first, JsonObject) and any(map(PHOTO_KEY.fullmatch, first.keys())):
            self._note("list_of_photos")
        else:
            self._begin_alone("list_of_objects")
        self._list(root)

    def _list(self, root: JsonList) -> None:
        for item in root.items:
            if not isinstance(item, JsonObject):
                self._note("stray_text", _words(item))
            elif any(map(caption.is_key, item.keys())) and KEYS.isdisjoint(item.keys()):
                self._stray(item)
                self._walk(item.members, 0 if PHOTO_KEY.fullmatch(item.keys()[0]) else 1)
            else:
                self._walk(self._thing("", item), 2)
        for piece in root.stray:
            self._note("stray_text", repr(piece))

    def _walk(self, members: Iterable[Member], level: int) -> None:
        """Take photos and objects; `level` is 0 for the members of a caption, 1 for a photo's.

        A member that stands elsewhere is taken where it belongs, and its bracket noted.
        """
        waiting = [(level, member) for member in reversed(list(members))]
        while waiting:
            level, (key, node) = waiting.pop()
            inner: Iterable[Member] = ()
            if photo := PHOTO_KEY.fullmatch(key):
                self._misplace(level, 0)
                self._begin(int(photo[1]), key)
                inner, level = self._photo(key, node), 0
            elif OBJECT_KEY.fullmatch(key) and isinstance(node, JsonObject):
                self._misplace(level, 1)
                inner, level = self._thing(key, node), 1
            elif holds_objects(node):
                raise self._strict
            else:
                self._unknown([(key, node)])
            waiting += [(level + 1, member) for member in reversed(list(inner))]

    def _misplace(self, level: int, right: int) -> None:
        if level > right:
            self._hoisted += 1
        elif level < right:
            self._note("unbalanced")

    def _photo(self, key: str, node: JsonNode) -> Iterable[Member]:
        """Take what a photo holds that has no object's key; give its other members."""
        while isinstance(node, JsonObject) and node.keys() in ([key], [""]):
            self._note("photo_key_repeated" if node.keys() == [key] else "punctuation")
            node = node.members[0][1]
        if isinstance(node, JsonList):
            if not node.items:
                raise self._strict
            self._note("list_of_objects")
            self._list(node)
            return ()
        if not isinstance(node, JsonObject):
            raise self._strict
        if not KEYS.isdisjoint(node.keys()):
            self._note("object_key_missing", key)
            self._walk(self._thing("", node), 2)
            return ()
        if len(node.members) == 1 and not caption.is_key(node.keys()[0]):
            ((name, inner),) = node.members
            if isinstance(inner, JsonList) and holds_objects(inner):
                self._note("wrapper", f"{key}/{name[:40]}")
                self._list(inner)
                return ()
            if isinstance(inner, JsonObject) and any(map(OBJECT_KEY.fullmatch, inner.keys())):
                self._note("wrapper", f"{key}/{name[:40]}")
                return inner.members
        self._stray(node)
        return node.members

    def _thing(self, key: str, node: JsonObject) -> list[Member]:
        """Take one object; give the photos and objects that stand inside it by mistake."""
        if not self._photos:
            self._begin_alone("photo_key_missing")
        self._in_photo += 1
        where = self._where()
        if key and key != f"object_{self._in_photo}":
            self._note("key_sequence", f"{key} read as {where}")
        own, inner = [], []
        stray = list(node.stray)
        for member in node.members:
            name, value = member
            if isinstance(value, JsonObject) and (not name or caption.is_key(name)):
                inner.append(member)
                if not name and "{" in stray:
                    stray.remove("{")
            else:
                own.append(member)
                if inner:
                    stray.append(name[:20])
        if not node.closed and not inner:
            self._is_inside = True
            return []
        try:
            thing = make(where, own, stray, self._frame(), self._note)
        except FormatError as error:
            if error.code == "range":
                raise
            self._note("dropped", str(error))
            self._dropped = self._dropped or error
        else:
            self._photos[-1].append(thing)
        for at, (name, value) in enumerate(inner):
            if not name:
                inner[at] = (f"object_{self._in_photo + at + 1}", value)
        return inner

    # --- where it is, and what was done ---

    def _begin(self, number: int, name: str) -> None:
        if number != len(self._photos) + 1:
            expected = photo_key(len(self._photos))
            raise FormatError("key_sequence", f"expected {expected}, got {name!r}")
        self._photos.append([])
        self._in_photo = 0
        self._see_oddities()

    def _begin_alone(self, note: str) -> None:
        """Begin the only photo, which has no key; what goes on from it is of the same photo."""
        if self._photo_count not in (None, 1):
            raise self._strict
        self._note(note)
        if not self._photos:
            self._photos.append([])
        self._see_oddities()

    def _place(self) -> str:
        return f"{'in' if self._is_inside else 'behind'} {self._where()}"

    def _where(self) -> str:
        return f"{photo_key(len(self._photos) - 1)}/object_{self._in_photo}"

    def _frame(self) -> Size:
        return caption.frame_at(self._frames, len(self._photos) - 1)

    def _outside(self, text: str, note: str) -> None:
        bare = _FENCE.sub("", text)
        if bare != text:
            self._note("code_fence")
        if bare.strip():
            self._note(note, f"{len(bare.strip())} characters")

    def _see_oddities(self) -> None:
        for oddity in self._oddities:
            self._note(oddity)
        self._oddities = ()

    def _stray(self, node: JsonObject) -> None:
        for piece in node.stray:
            self._note("stray_text", repr(piece))

    def _unknown(self, members: list[Member]) -> None:
        if members:
            self._note("unknown_keys", ", ".join(key[:40] or "{" for key, _ in members))

    def _note(self, code: str, detail: str = "") -> None:
        details = self._notes.setdefault(code, [])
        if detail or not details:
            details.append(detail)


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


def _words(node: JsonNode) -> str:
    return repr(str(node.value)[:20]) if isinstance(node, lenient_json.JsonScalar) else "a list"
