"""The photo cache: photos decoded and cut for a model, for other questions about them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Semaphore
from typing import Final, Generic, Protocol, TypeVar

from shenhe.locations import Location
from shenhe.messages import ImagePart, PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget
from shenhe.photos.loading import opened

MAX_DECODED: Final = 2
"""Photos that are decoded at once: each takes up to 16 bytes a pixel meanwhile."""
MAX_PHOTOS: Final = 4096
"""Photos that are kept at most: what is told of small ones takes memory too."""


class CutPhoto(Protocol):
    """A photo as a model takes it, with the facts of its file."""

    @property
    def sizes(self) -> PhotoSize:
        """Its sizes and facts."""

    @property
    def nbytes(self) -> int:
        """Memory of it. Units: bytes."""


CutType = TypeVar("CutType", bound=CutPhoto)


class PhotoCache(Generic[CutType]):
    """Photos by the content of their files; the least recently used ones go first.

    A file that is replaced has another content, whatever its name and time; one that stands in two
    places is one. May be used by several threads: a photo that one of them decodes is waited for.
    `photos` counts those that were asked for, `reused_photos` those of them that were here.
    """

    def __init__(
        self, budget: PixelBudget, cut: Callable[[LoadedPhoto], CutType], max_bytes: int
    ) -> None:
        """Keep at most so much; 0: files are not compared. Units: bytes."""
        self._budget, self._cut, self._max_bytes, self._bytes = budget, cut, max_bytes, 0
        self._photos: OrderedDict[str, CutType] = OrderedDict()
        self._decoding: set[str] = set()
        self._changed, self._decoders = Condition(), Semaphore(MAX_DECODED)
        self.photos = self.reused_photos = 0

    def __len__(self) -> int:
        return len(self._photos)

    @property
    def nbytes(self) -> int:
        """Memory of what is kept. Units: bytes."""
        return self._bytes

    def load_all(self, request: Request) -> list[CutType]:
        """Load the photos of a request, in order.

        Raises: PhotoError.
        """
        return [
            self.load(part.path)
            for message in request.messages
            for part in message.parts
            if isinstance(part, ImagePart)
        ]

    def load(self, path: Location) -> CutType:
        """Look a photo up, or decode and cut it.

        Raises: PhotoError.
        """
        with opened(path) as file:
            if not self._max_bytes:
                self._get("")
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
            self._photos.clear()
            self._bytes = 0

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
            self.photos += 1
            photo = self._photos.get(content)
            if photo is not None:
                self.reused_photos += 1
                self._photos.move_to_end(content)
            return photo

    def _put(self, photo: CutType) -> None:
        # What was decoded counts: the file may have changed since it was compared.
        content = photo.sizes.facts.content_hash
        if content is None or photo.nbytes > self._max_bytes:
            return
        with self._changed:
            replaced = self._photos.pop(content, None)
            self._bytes += photo.nbytes - (replaced.nbytes if replaced is not None else 0)
            self._photos[content] = photo
            while self._bytes > self._max_bytes or len(self._photos) > MAX_PHOTOS:
                self._bytes -= self._photos.popitem(last=False)[1].nbytes
