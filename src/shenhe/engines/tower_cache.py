"""The tower cache: what the vision tower made of photos, for other questions about them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, Protocol, Self, TypeVar

MAX_PHOTOS = 256
"""Photos that are kept at most: those of a small model take little memory, and little time anew."""


class Features(Protocol):
    """Output of the vision tower for one photo."""

    @property
    def nbytes(self) -> int:
        """Memory of it. Units: bytes."""

    def copy(self) -> Self:
        """Copy it, as a part of an array keeps the whole of it in memory."""


FeaturesType = TypeVar("FeaturesType", bound=Features)


class TowerCache(Generic[FeaturesType]):
    """Features of photos by the digest of their pixels; the least recently used ones go first.

    `photos` counts those that were looked up, `reused_photos` those of them that were here.
    """

    def __init__(self, max_bytes: int) -> None:
        """Keep at most so much. Units: bytes."""
        self._max_bytes, self._bytes = max_bytes, 0
        self._features: OrderedDict[bytes, FeaturesType] = OrderedDict()
        self.photos = self.reused_photos = 0

    def __len__(self) -> int:
        return len(self._features)

    @property
    def nbytes(self) -> int:
        """Memory of what is kept. Units: bytes."""
        return self._bytes

    def get(self, digest: bytes) -> FeaturesType | None:
        """Look up the features of a photo."""
        self.photos += 1
        features = self._features.get(digest)
        if features is not None:
            self.reused_photos += 1
            self._features.move_to_end(digest)
        return features

    def put(self, digest: bytes, features: FeaturesType) -> None:
        """Keep the features of a photo that is not here, unless they are too large.

        Raises: torch.OutOfMemoryError where features are torch's.
        """
        if features.nbytes > self._max_bytes:
            return
        self._features[digest] = features.copy()
        self._bytes += features.nbytes
        while self._bytes > self._max_bytes or len(self._features) > MAX_PHOTOS:
            self._bytes -= self._features.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Drop everything and free its memory."""
        self._features.clear()
        self._bytes = 0
