"""What one value of lenient JSON holds of a caption: photos and objects by their keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.formats.caption import OBJECT_KEY, PHOTO_KEY
from shenhe.formats.caption_object import KEYS, holds_objects, make
from shenhe.formats.lenient_json import (
    JsonContainer,
    JsonList,
    JsonNode,
    JsonObject,
    JsonScalar,
    JsonValue,
)
from shenhe.geometry import Size
from shenhe.values import Caption, CaptionObject, photo_key

MAX_WRAPPERS = 4
"""Outer keys that a list may stand under, one in the other."""
FENCE = re.compile(r"```[a-zA-Z]{0,10}")

Member = tuple[str, JsonNode]


class Reading:
    """Takes one value after the other, noting each repair."""

    def __init__(
        self,
        photo_count: int | None,
        frames: Sequence[Size] | None,
        strict: FormatError,
    ) -> None:
        """Begin with nothing; `strict` is told where nothing can be recovered."""
        self._photo_count, self._frames = photo_count, frames
        self.strict = strict
        self.truncated = False
        self.photos: list[list[CaptionObject]] = []
        self.notes: dict[str, list[str]] = {}
        self._oddities: tuple[str, ...] = ()
        self._dropped: FormatError | None = None
        self.in_photo = 0
        """Objects of the present photo that the text holds, the dropped ones too."""
        self._is_inside = False
        """Whether the text ends inside an object."""
        self._hoisted = 0
        """Members that stand deeper than they belong, each behind a bracket that is missing."""

    def caption(self, plainly_empty: bool) -> Caption:
        """Give what was read; `plainly_empty` is a text that says that there is nothing.

        Raises: FormatError, see `caption_recovery.recover`.
        """
        if not any(self.photos):
            if self._dropped is not None:
                raise self._dropped
            if self.truncated:
                raise FormatError("truncated", "the text ends before its first whole object")
            if not plainly_empty:
                raise self.strict
        if self._photo_count is not None and len(self.photos) != self._photo_count:
            raise FormatError(
                "photo_count", f"expected {self._photo_count} photos, got {len(self.photos)}"
            )
        return Caption(tuple(map(tuple, self.photos)))

    def repairs(self) -> list[str]:
        """List what was done, each kind once, with its details."""
        return [
            f"{code}: {'; '.join(filter(None, details))}" if any(details) else code
            for code, details in self.notes.items()
        ]

    # --- one value ---

    def is_one_photo(self) -> bool:
        """Whether what was read so far named no photo."""
        return not self.notes.keys().isdisjoint(
            {"list_of_objects", "single_object", "photo_key_missing"}
        )

    def take_value(self, value: JsonValue) -> None:
        """Take what one value of a text holds, and note how far it is from JSON."""
        self._oddities = value.oddities
        hoisted = self._hoisted
        self._take(value.root)
        self._see_oddities()
        unclosed = value.unclosed - (self._hoisted - hoisted)
        if value.ends_inside or unclosed > 0 or self._is_inside:
            self.truncated = True
            self.note("truncated", f"the text ends {self._place()}" if self.photos else "")
        if value.misplaced or self._hoisted > hoisted:
            self.note("unbalanced")
        elif not self.truncated and not value.is_json():
            self.note("punctuation")

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
                if not self.photos:
                    self._begin_alone("photo_key_missing")
                self._stray(root)
                self._walk(root.members, 1)
                return
            root = self._unwrapped(root)
        raise self.strict

    def _unwrapped(self, root: JsonObject) -> JsonContainer:
        """Give the only member that holds objects, whatever its key."""
        holding = [member for member in root.members if holds_objects(member[1])]
        if not holding:
            raise self.strict
        if len(holding) > 1:
            names = ", ".join(repr(key[:20]) for key, _ in holding[:4])
            raise FormatError("structure", f"objects stand under several keys: {names}")
        ((key, node),) = holding
        self.note("wrapper", key[:40] or "{")
        self._unknown([other for other in root.members if other[1] is not node])
        assert not isinstance(node, JsonScalar)  # a scalar holds nothing
        return node

    def _take_list(self, root: JsonList) -> None:
        first = root.items[0]
        if isinstance(first, JsonObject) and any(map(PHOTO_KEY.fullmatch, first.keys())):
            self.note("list_of_photos")
        else:
            self._begin_alone("list_of_objects")
        self._list(root)

    def _list(self, root: JsonList) -> None:
        for item in root.items:
            if not isinstance(item, JsonObject):
                self.note("stray_text", _words(item))
            elif any(map(caption.is_key, item.keys())) and KEYS.isdisjoint(item.keys()):
                self._stray(item)
                self._walk(item.members, 0 if PHOTO_KEY.fullmatch(item.keys()[0]) else 1)
            else:
                self._walk(self._thing("", item), 2)
        for piece in root.stray:
            self.note("stray_text", repr(piece))

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
                raise self.strict
            else:
                self._unknown([(key, node)])
            waiting += [(level + 1, member) for member in reversed(list(inner))]

    def _misplace(self, level: int, right: int) -> None:
        if level > right:
            self._hoisted += 1
        elif level < right:
            self.note("unbalanced")

    def _photo(self, key: str, node: JsonNode) -> Iterable[Member]:
        """Take what a photo holds that has no object's key; give its other members."""
        while isinstance(node, JsonObject) and node.keys() in ([key], [""]):
            self.note("photo_key_repeated" if node.keys() == [key] else "punctuation")
            node = node.members[0][1]
        if isinstance(node, JsonList):
            if not node.items:
                raise self.strict
            self.note("list_of_objects")
            self._list(node)
            return ()
        if not isinstance(node, JsonObject):
            raise self.strict
        if not KEYS.isdisjoint(node.keys()):
            self.note("object_key_missing", key)
            self._walk(self._thing("", node), 2)
            return ()
        if len(node.members) == 1 and not caption.is_key(node.keys()[0]):
            ((name, inner),) = node.members
            if isinstance(inner, JsonList) and holds_objects(inner):
                self.note("wrapper", f"{key}/{name[:40]}")
                self._list(inner)
                return ()
            if isinstance(inner, JsonObject) and any(map(OBJECT_KEY.fullmatch, inner.keys())):
                self.note("wrapper", f"{key}/{name[:40]}")
                return inner.members
        self._stray(node)
        return node.members

    def _thing(self, key: str, node: JsonObject) -> list[Member]:
        """Take one object; give the photos and objects that stand inside it by mistake."""
        if not self.photos:
            self._begin_alone("photo_key_missing")
        self.in_photo += 1
        where = self._where()
        if key and key != f"object_{self.in_photo}":
            self.note("key_sequence", f"{key} read as {where}")
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
            thing = make(where, own, stray, self._frame(), self.note)
        except FormatError as error:
            if error.code == "range":
                raise
            self.note("dropped", str(error))
            self._dropped = self._dropped or error
        else:
            self.photos[-1].append(thing)
        for at, (name, value) in enumerate(inner):
            if not name:
                inner[at] = (f"object_{self.in_photo + at + 1}", value)
        return inner

    # --- where it is, and what was done ---

    def _begin(self, number: int, name: str) -> None:
        if number != len(self.photos) + 1:
            expected = photo_key(len(self.photos))
            raise FormatError("key_sequence", f"expected {expected}, got {name!r}")
        self.photos.append([])
        self.in_photo = 0
        self._see_oddities()

    def _begin_alone(self, note: str) -> None:
        """Begin the only photo, which has no key; what goes on from it is of the same photo."""
        if self._photo_count not in (None, 1):
            raise self.strict
        self.note(note)
        if not self.photos:
            self.photos.append([])
        self._see_oddities()

    def _place(self) -> str:
        return f"{'in' if self._is_inside else 'behind'} {self._where()}"

    def _where(self) -> str:
        return f"{photo_key(len(self.photos) - 1)}/object_{self.in_photo}"

    def _frame(self) -> Size:
        return caption.frame_at(self._frames, len(self.photos) - 1)

    def outside(self, text: str, note: str) -> None:
        """Note text that stands outside all values; code fences are no text."""
        bare = FENCE.sub("", text)
        if bare != text:
            self.note("code_fence")
        if bare.strip():
            self.note(note, f"{len(bare.strip())} characters")

    def _see_oddities(self) -> None:
        for oddity in self._oddities:
            self.note(oddity)
        self._oddities = ()

    def _stray(self, node: JsonObject) -> None:
        for piece in node.stray:
            self.note("stray_text", repr(piece))

    def _unknown(self, members: list[Member]) -> None:
        if members:
            self.note("unknown_keys", ", ".join(key[:40] or "{" for key, _ in members))

    def note(self, code: str, detail: str = "") -> None:
        """Note a repair."""
        details = self.notes.setdefault(code, [])
        if detail or not details:
            details.append(detail)


def _words(node: JsonNode) -> str:
    return repr(str(node.value)[:20]) if isinstance(node, JsonScalar) else "a list"
