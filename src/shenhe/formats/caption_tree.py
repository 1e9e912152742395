"""From one value of lenient JSON to the photos and objects that it holds, found by their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shenhe.errors import FormatError
from shenhe.formats import caption
from shenhe.formats.caption import OBJECT_KEY, PHOTO_KEY
from shenhe.formats.caption_builder import CaptionBuilder
from shenhe.formats.caption_object import OBJECT_FIELDS, Member, holds_objects
from shenhe.formats.lenient_json import (
    JsonContainer,
    JsonList,
    JsonNode,
    JsonObject,
    JsonScalar,
    JsonValue,
)

MAX_WRAPPERS = 4
"""Outer keys around a caption, one inside another."""
_CAPTION, _PHOTO, _OBJECT = range(3)
"""Levels of members: a caption has photos, a photo has objects, an object has fields."""


def add_value(value: JsonValue, builder: CaptionBuilder) -> None:
    """Add the photos and objects of a value, and record its departures from JSON.

    Raises: FormatError, the strict one, if the value is no caption.
    """
    reader = _TreeReader(builder)
    builder.expect_oddities(value.oddities)
    reader.read_root(value.root)
    builder.note_oddities()
    if value.ends_inside or value.unclosed > reader.missing_brackets or builder.ends_inside_object:
        builder.note_truncation()
    if value.misplaced or reader.missing_brackets:
        builder.repairs.add("unbalanced")
    elif not builder.truncated and not value.is_json():
        builder.repairs.add("punctuation")


class _TreeReader:
    """Reads the tree of one value into a builder."""

    def __init__(self, builder: CaptionBuilder) -> None:
        self._builder, self._log = builder, builder.repairs
        self.missing_brackets = 0
        """Members that stand deeper than they belong, each behind a missing bracket."""

    def read_root(self, root: JsonContainer) -> None:
        """Read a list, an object, or the value under one outer key."""
        for _ in range(MAX_WRAPPERS):
            if isinstance(root, JsonList):
                self._read_root_list(root)
                return
            keys = root.keys()
            if not OBJECT_FIELDS.isdisjoint(keys):
                self._builder.begin_only_photo("single_object")
                self._read_members(self._read_object("", root), _OBJECT)
                return
            if any(PHOTO_KEY.fullmatch(key) for key in keys):
                self._note_stray(root.stray)
                self._read_members(root.members, _CAPTION)
                return
            if any(OBJECT_KEY.fullmatch(key) for key in keys):
                if not self._builder.photos:
                    self._builder.begin_only_photo("photo_key_missing")
                self._note_stray(root.stray)
                self._read_members(root.members, _PHOTO)
                return
            root = self._unwrap(root)
        raise self._builder.strict_error

    def _unwrap(self, root: JsonObject) -> JsonContainer:
        """Return the only member that holds objects, whatever its key."""
        candidates = [
            (key, node)
            for key, node in root.members
            if not isinstance(node, JsonScalar) and holds_objects(node)
        ]
        if not candidates:
            raise self._builder.strict_error
        if len(candidates) > 1:
            names = ", ".join(repr(key[:20]) for key, _ in candidates[:4])
            raise FormatError("structure", f"objects stand under several keys: {names}")
        ((key, inner),) = candidates
        self._log.add("wrapper", key[:40] or "{")
        self._note_unknown([name for name, node in root.members if node is not inner])
        return inner

    # --- lists ---

    def _read_root_list(self, root: JsonList) -> None:
        first = root.items[0]
        if isinstance(first, JsonObject) and any(map(PHOTO_KEY.fullmatch, first.keys())):
            self._log.add("list_of_photos")
        else:
            self._builder.begin_only_photo("list_of_objects")
        self._read_list(root)

    def _read_list(self, root: JsonList) -> None:
        for item in root.items:
            if not isinstance(item, JsonObject):
                self._log.add("stray_text", _describe(item))
            elif any(map(caption.is_key, item.keys())) and OBJECT_FIELDS.isdisjoint(item.keys()):
                self._note_stray(item.stray)
                level = _CAPTION if PHOTO_KEY.fullmatch(item.keys()[0]) else _PHOTO
                self._read_members(item.members, level)
            else:
                self._read_members(self._read_object("", item), _OBJECT)
        self._note_stray(root.stray)

    # --- photos and objects under their keys ---

    def _read_members(self, members: Sequence[Member], level: int) -> None:
        """Read photos and objects among members of a level, and those nested in them.

        A member on a wrong level is read where it belongs, and its bracket recorded. The stack
        replaces recursion: missing brackets nest members as deep as a text is long.
        """
        stack = [(level, member) for member in reversed(members)]
        while stack:
            level, (key, node) = stack.pop()
            nested: Sequence[Member] = ()
            if photo := PHOTO_KEY.fullmatch(key):
                self._check_level(level, _CAPTION)
                self._builder.begin_photo(int(photo[1]), key)
                nested, level = self._read_photo(key, node), _CAPTION
            elif OBJECT_KEY.fullmatch(key) and isinstance(node, JsonObject):
                self._check_level(level, _PHOTO)
                nested, level = self._read_object(key, node), _PHOTO
            elif holds_objects(node):
                raise self._builder.strict_error
            else:
                self._note_unknown([key])
            stack += [(level + 1, member) for member in reversed(nested)]

    def _check_level(self, level: int, expected: int) -> None:
        if level > expected:
            self.missing_brackets += 1
        elif level < expected:
            self._log.add("unbalanced")

    def _read_photo(self, key: str, node: JsonNode) -> Sequence[Member]:
        """Read the objects of a photo that have no key; return its other members."""
        while isinstance(node, JsonObject) and node.keys() in ([key], [""]):
            self._log.add("photo_key_repeated" if node.keys() == [key] else "punctuation")
            node = node.members[0][1]
        if isinstance(node, JsonList):
            if not node.items:
                raise self._builder.strict_error
            self._log.add("list_of_objects")
            self._read_list(node)
            return ()
        if not isinstance(node, JsonObject):
            raise self._builder.strict_error
        if not OBJECT_FIELDS.isdisjoint(node.keys()):
            self._log.add("object_key_missing", key)
            self._read_members(self._read_object("", node), _OBJECT)
            return ()
        wrapped = self._unwrap_photo(key, node)
        if wrapped is None:
            self._note_stray(node.stray)
            return node.members
        return wrapped

    def _unwrap_photo(self, key: str, node: JsonObject) -> Sequence[Member] | None:
        """Read a photo whose objects stand under one more key; None if they do not."""
        if len(node.members) != 1 or caption.is_key(node.keys()[0]):
            return None
        ((name, inner),) = node.members
        if isinstance(inner, JsonList) and holds_objects(inner):
            self._log.add("wrapper", f"{key}/{name[:40]}")
            self._read_list(inner)
            return ()
        if isinstance(inner, JsonObject) and any(map(OBJECT_KEY.fullmatch, inner.keys())):
            self._log.add("wrapper", f"{key}/{name[:40]}")
            return inner.members
        return None

    def _read_object(self, key: str, node: JsonObject) -> Sequence[Member]:
        """Read one object; return the photos and objects nested in it by a missing bracket."""
        self._builder.begin_object(key)
        fields, nested, stray = _split_nested(node)
        if not node.closed and not nested:
            self._builder.ends_inside_object = True
            return ()
        self._builder.add_object(fields, stray)
        number = self._builder.object_number
        return [
            (name or f"object_{number + offset}", inner)
            for offset, (name, inner) in enumerate(nested, 1)
        ]

    # --- repairs ---

    def _note_stray(self, pieces: Iterable[str]) -> None:
        for piece in pieces:
            self._log.add("stray_text", repr(piece))

    def _note_unknown(self, keys: Sequence[str]) -> None:
        if keys:
            self._log.add("unknown_keys", ", ".join(key[:40] or "{" for key in keys))


def _split_nested(node: JsonObject) -> tuple[list[Member], list[Member], list[str]]:
    """Split an object into its fields, the photos and objects nested in it, and stray text.

    Fields behind a nested object belong to neither and are stray.
    """
    fields: list[Member] = []
    nested: list[Member] = []
    stray = list(node.stray)
    for name, value in node.members:
        if isinstance(value, JsonObject) and (not name or caption.is_key(name)):
            nested.append((name, value))
            if not name and "{" in stray:
                stray.remove("{")
        else:
            fields.append((name, value))
            if nested:
                stray.append(name[:20])
    return fields, nested, stray


def _describe(node: JsonNode) -> str:
    return repr(str(node.value)[:20]) if isinstance(node, JsonScalar) else "a list"
