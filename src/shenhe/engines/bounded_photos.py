"""What was made of photos, up to a size: the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    """Something that takes memory."""

    @property
    def nbytes(self) -> int:
        """Memory of it. Units: bytes."""


DigestType = TypeVar("DigestType", bound=Hashable)
SizedType = TypeVar("SizedType", bound=Sized)


class BoundedPhotos(Generic[DigestType, SizedType]):
    """What was made of photos, by a digest of each.

    `photos` counts those that were looked up, `reused_photos` those of them that were here.
    """

    def __init__(self, max_bytes: int, max_photos: int) -> None:
        """Keep at most so much, of at most so many. Units: bytes."""
        self._max_bytes, self._max_photos, self._bytes = max_bytes, max_photos, 0
        self._made: OrderedDict[DigestType, SizedType] = OrderedDict()
        self.photos = self.reused_photos = 0

    def __len__(self) -> int:
        return len(self._made)

    @property
    def nbytes(self) -> int:
        """Memory of what is kept. Units: bytes."""
        return self._bytes

    def can_hold(self, made: Sized) -> bool:
        """Whether something of this size can be kept."""
        return made.nbytes <= self._max_bytes

    def get(self, digest: DigestType) -> SizedType | None:
        """Look up what was made of a photo."""
        self.photos += 1
        made = self._made.get(digest)
        if made is not None:
            self.reused_photos += 1
            self._made.move_to_end(digest)
        return made

    def put(self, digest: DigestType, made: SizedType) -> None:
        """Keep what was made of a photo, unless it is too large."""
        if not self.can_hold(made):
            return
        if (replaced := self._made.pop(digest, None)) is not None:
            self._bytes -= replaced.nbytes
        self._made[digest] = made
        self._bytes += made.nbytes
        while self._bytes > self._max_bytes or len(self._made) > self._max_photos:
            self._bytes -= self._made.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Drop everything and free its memory."""
        self._made.clear()
        self._bytes = 0
