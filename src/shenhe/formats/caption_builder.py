"""The photos and objects of a caption while they are read from a malformed text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shenhe.errors import FormatError
from shenhe.formats.caption import refuse_photo_key
from shenhe.formats.caption_fields import frame_at
from shenhe.formats.caption_object import Member, object_from_members
from shenhe.formats.json_tokens import Oddity
from shenhe.formats.repairs import RepairKind, RepairLog
from shenhe.formats.text_formats import PLAIN, CaptionFormat
from shenhe.geometry import Size
from shenhe.values import Caption, CaptionObject, photo_key


class CaptionBuilder:
    """Collects photos and objects in their order, and the repairs made to read them."""

    def __init__(
        self,
        photo_count: int | None,
        frames: Sequence[Size] | None,
        strict_error: FormatError,
        form: CaptionFormat = PLAIN.caption,
    ) -> None:
        """Start without photos; `strict_error` is raised if nothing can be recovered."""
        self.strict_error = strict_error
        self.repairs = RepairLog()
        self.photos: list[list[CaptionObject]] = []
        self.object_number = 0
        """Number of the last object in the current photo; dropped objects count."""
        self.truncated = False
        self.ends_inside_object = False
        self._photo_count, self._frames, self._form = photo_count, frames, form
        self._unnamed_by: RepairKind | None = None
        """How the objects of a photo without a key were first written."""
        self._oddities: tuple[Oddity, ...] = ()
        self._first_dropped: FormatError | None = None

    def build(self, *, states_emptiness: bool) -> Caption:
        """Return the caption; without objects it is valid only if the text states emptiness.

        Raises: FormatError, see `caption_recovery.recover`.
        """
        if not any(self.photos):
            if self._first_dropped is not None:
                raise self._first_dropped
            if self.truncated:
                raise FormatError("truncated", "the text ends before its first whole object")
            if not states_emptiness:
                raise self.strict_error
        if self._photo_count is not None and len(self.photos) != self._photo_count:
            raise FormatError(
                "photo_count", f"expected {self._photo_count} photos, got {len(self.photos)}"
            )
        return Caption(tuple(map(tuple, self.photos)))

    # --- photos ---

    def begin_photo(self, number: int, key: str) -> None:
        """Begin a photo that has a key.

        Raises: FormatError with code key_sequence unless it is the next one, or with code photo_key
        in a format without keys of photos.
        """
        if not self._form.photo_keys:
            refuse_photo_key(key)
        if number != len(self.photos) + 1:
            expected = photo_key(len(self.photos))
            raise FormatError("key_sequence", f"expected {expected}, got {key!r}")
        self.photos.append([])
        self.object_number = 0
        self.note_oddities()

    def begin_only_photo(self, kind: RepairKind) -> None:
        """Begin the only photo, which has no key; later objects without a key belong to it.

        Raises: FormatError, the strict one, if several photos are expected.
        """
        if self._photo_count not in (None, 1):
            raise self.strict_error
        if self._form.photo_keys or kind != "photo_key_missing":
            self.repairs.add(kind)
        self._unnamed_by = self._unnamed_by or kind
        if not self.photos:
            self.photos.append([])
        self.note_oddities()

    def has_unnamed_photo(self) -> bool:
        """Whether the objects so far stand under no photo's key."""
        return self._unnamed_by is not None or self.repairs.has_any("list_of_objects")

    def has_numbered_objects(self) -> bool:
        """Whether the objects of a photo without a key have keys of their own."""
        return self._unnamed_by == "photo_key_missing"

    # --- objects ---

    def begin_object(self, key: str) -> None:
        """Begin the next object; an empty key is a missing one."""
        if not self.photos:
            self.begin_only_photo("photo_key_missing")
        self.object_number += 1
        if key and key != f"object_{self.object_number}":
            self.repairs.add("key_sequence", f"{key} read as {self.path()}")

    def add_object(self, members: Iterable[Member], stray: Sequence[str]) -> None:
        """Add the current object whole, or drop it and record why.

        Raises: FormatError with code range: coordinates of another frame are never dropped.
        """
        frame = frame_at(self._frames, len(self.photos) - 1)
        try:
            item = object_from_members(
                self.path(), members, stray, frame, self.repairs, self._form.polygons
            )
        except FormatError as error:
            if error.code == "range":
                raise
            self.repairs.add("dropped", str(error))
            self._first_dropped = self._first_dropped or error
        else:
            self.photos[-1].append(item)

    def path(self) -> str:
        """Return the path of the current object, as in 图片_1/object_2."""
        return f"{photo_key(len(self.photos) - 1)}/object_{self.object_number}"

    # --- repairs of the JSON itself ---

    def expect_oddities(self, oddities: tuple[Oddity, ...]) -> None:
        """Keep the oddities of a value until `note_oddities`, behind the repair of its form."""
        self._oddities = oddities

    def note_oddities(self) -> None:
        """Record the oddities of the current value, once."""
        for oddity in self._oddities:
            self.repairs.add(oddity)
        self._oddities = ()

    def note_truncation(self) -> None:
        """Record that the text ends before its last bracket."""
        self.truncated = True
        preposition = "in" if self.ends_inside_object else "behind"
        detail = f"the text ends {preposition} {self.path()}" if self.photos else ""
        self.repairs.add("truncated", detail)
