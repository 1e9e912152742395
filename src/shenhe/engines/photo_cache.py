"""The photo cache: photos decoded and cut for a model, for other questions about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Semaphore
from typing import Final, Protocol, TypeVar

from shenhe.engines.bounded_photos import BoundedPhotos, Sized
from shenhe.locations import Location
from shenhe.messages import PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget
from shenhe.photos.loading import opened

MAX_DECODED: Final = 2
"""Photos that are decoded at once: each takes up to 16 bytes a pixel meanwhile."""
MAX_PHOTOS: Final = 4096
"""Photos that are kept at most: what is told of small ones takes memory too."""


class CutPhoto(Sized, Protocol):
    """A photo as a model takes it, with the facts of its file."""

    @property
    def sizes(self) -> PhotoSize:
        """Its sizes and facts."""


CutType = TypeVar("CutType", bound=CutPhoto)


class PhotoCache(BoundedPhotos[str, CutType]):
    """Photos by the content of their files.

    A file that is replaced has another content, whatever its name and time; one that stands in two
    places is one. Several threads may load at once: one waits for a photo that another decodes.
    """

    def __init__(
        self, budget: PixelBudget, cut: Callable[[LoadedPhoto], CutType], max_bytes: int
    ) -> None:
        """Keep at most so much; 0: files are not compared. Units: bytes."""
        super().__init__(max_bytes, MAX_PHOTOS)
        self._budget, self._cut = budget, cut
        self._decoding: set[str] = set()
        self._changed, self._decoders = Condition(), Semaphore(MAX_DECODED)

    def load_all(self, request: Request) -> list[CutType]:
        """Load the photos of a request, in order.

        Raises: PhotoError.
        """
        return [self.load(path) for path in request.photos]

    def load(self, path: Location) -> CutType:
        """Look a photo up, or decode and cut it.

        Raises: PhotoError.
        """
        with opened(path) as file:
            if not self._max_bytes:
                with self._changed:
                    self.photos += 1
                with self._decoders:
                    return self._cut(file.load(self._budget))
            content = file.content_hash()
            with self._alone(content):
                photo = self._get(content)
                if photo is None:
                    with self._decoders:
                        photo = self._cut(file.load(self._budget))
                    self._put(photo)
                return photo

    def clear(self) -> None:
        """Drop everything and free its memory."""
        with self._changed:
            super().clear()

    @contextmanager
    def _alone(self, content: str) -> Iterator[None]:
        """Wait until no other thread decodes a photo."""
        with self._changed:
            self._changed.wait_for(lambda: content not in self._decoding)
            self._decoding.add(content)
        try:
            yield
        finally:
            with self._changed:
                self._decoding.remove(content)
                self._changed.notify_all()

    def _get(self, content: str) -> CutType | None:
        with self._changed:
            return self.get(content)

    def _put(self, photo: CutType) -> None:
        # What was decoded counts: the file may have changed since it was compared.
        content = photo.sizes.facts.content_hash
        if content is not None:
            with self._changed:
                self.put(content, photo)
