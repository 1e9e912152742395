"""The tower cache: what the vision tower made of photos, for other questions about them."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

from shenhe.engines.bounded_photos import BoundedPhotos, Sized

MAX_PHOTOS = 256
"""Photos that are kept at most: those of a small model take little memory, and little time anew."""


class Features(Sized, Protocol):
    """Output of the vision tower for one photo."""

    def copy(self) -> Self:
        """Copy it, as a part of an array keeps the whole of it in memory."""


FeaturesType = TypeVar("FeaturesType", bound=Features)


class TowerCache(BoundedPhotos[bytes, FeaturesType]):
    """Features of photos by the digest of their pixels."""

    def __init__(self, max_bytes: int) -> None:
        """Keep at most so much. Units: bytes."""
        super().__init__(max_bytes, MAX_PHOTOS)

    def put(self, digest: bytes, made: FeaturesType) -> None:
        """Keep a copy of the features of a photo, unless they are too large.

        Raises: torch.OutOfMemoryError where features are torch's.
        """
        if self.can_hold(made):
            super().put(digest, made.copy())
