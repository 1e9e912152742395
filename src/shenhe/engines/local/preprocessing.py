"""Preprocessing: photos opened and cut into patches, prompts rendered and tokenised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import torch

from shenhe.checkpoints.interfaces import Processor, VisionLanguageModel
from shenhe.engines.local.patches import Patches
from shenhe.engines.photo_cache import PhotoCache
from shenhe.engines.prompts import expand_image_tokens, prompt_text
from shenhe.messages import ImagePart, Message, PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget

MAX_PROMPTS: Final = 64
"""Tokenised prompts that are kept: a mission has one for all photos of a size."""
ANY_PHOTO: Final = ImagePart(Path())
"""Stands for each photo in a prompt that is kept, as prompts tell nothing of files."""

Grid = tuple[int, int, int]
"""Frames, rows and columns of the patches of a photo."""


@dataclass(frozen=True, slots=True)
class CutPhoto:
    """A photo cut into patches; `digest` is equal for equal pixels of equal size.

    Shape: patches (patches, channels, size, size) as bytes.
    """

    digest: bytes
    patches: torch.Tensor
    grid: Grid
    sizes: PhotoSize

    @property
    def nbytes(self) -> int:
        """Memory of it. Units: bytes."""
        return self.patches.nbytes


@dataclass(frozen=True, slots=True)
class PreparedPhoto:
    """A photo of a prompt: its patches, and where its image tokens begin.

    `digest` is equal for equal pixels of equal size, whatever file they come from.
    Shape: patches (patches, channels, size, size) as bytes, grid (3,) for frames, rows and columns.
    """

    digest: bytes
    patches: torch.Tensor
    grid: torch.Tensor
    start: int


class _Prompt(NamedTuple):
    """A prompt as tokens, the same for all photos of the same sizes.

    `starts` and `counts` are of the image tokens of each photo.
    Shape: as of PreparedRequest.
    """

    text: str
    token_ids: torch.Tensor
    positions: torch.Tensor
    position_offset: int
    starts: tuple[int, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request as the model takes it.

    `position_offset` plus the index of an answer token gives its position id. `units` are the token
    ids, but for image tokens, of which each is its photo's: prompts with equal beginnings of them
    have equal keys and values there. `digest` is equal for equal prompts about equal photos.
    Shape: token_ids (tokens,), positions (3, tokens) for time, rows and columns.
    """

    request: Request
    token_ids: torch.Tensor
    positions: torch.Tensor
    position_offset: int
    photos: tuple[PreparedPhoto, ...]
    units: tuple[int, ...]
    sizes: tuple[PhotoSize, ...]
    digest: bytes

    @property
    def max_tokens(self) -> int:
        """Length of the prompt and of the longest answer to it. Units: tokens."""
        return len(self.token_ids) + self.request.max_new_tokens


class Preprocessor:
    """Prepares requests with a checkpoint's chat template, tokenizer and image processor."""

    def __init__(
        self,
        processor: Processor,
        base: VisionLanguageModel,
        budget: PixelBudget,
        kept_bytes: int = 0,
    ) -> None:
        """Keep photos that are cut up to so many bytes."""
        self._tokenizer, self._base = processor.tokenizer, base
        self.patches = Patches(processor.image_processor)
        self.photos: PhotoCache[CutPhoto] = PhotoCache(budget, self._cut, kept_bytes)
        self._image_token = self._tokenizer.convert_ids_to_tokens(base.config.image_token_id)
        self._prompt = lru_cache(MAX_PROMPTS)(self._tokenize)

    def prepare(self, request: Request) -> PreparedRequest:
        """Prepare one request.

        Raises: PhotoError; EngineError for a chat template that fails.
        """
        cut = self.photos.load_all(request)
        prompt = self._prompt(_outline(request), tuple(photo.grid for photo in cut))
        photos = tuple(
            PreparedPhoto(photo.digest, photo.patches, torch.tensor(photo.grid), start)
            for photo, start in zip(cut, prompt.starts, strict=True)
        )
        return PreparedRequest(
            request,
            prompt.token_ids,
            prompt.positions,
            prompt.position_offset,
            photos,
            tuple(_units(prompt.token_ids.tolist(), photos, prompt.counts)),
            tuple(photo.sizes for photo in cut),
            _digest(prompt.text, cut),
        )

    def _cut(self, loaded: LoadedPhoto) -> CutPhoto:
        patches, grid = self.patches.cut(loaded.raster.array)
        return CutPhoto(_digest_of_photo(patches, grid), patches, grid, loaded.sizes)

    def _tokenize(self, messages: tuple[Message, ...], grids: tuple[Grid, ...]) -> _Prompt:
        """Render and tokenise a prompt about photos of some sizes.

        Raises: EngineError for a chat template that fails.
        """
        counts = tuple(rows * columns // self.patches.merge**2 for _, rows, columns in grids)
        text = prompt_text(messages, self._tokenizer)
        text = expand_image_tokens(text, self._image_token, counts)
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        is_image = ids == self._base.config.image_token_id
        positions, offset = self._base.model.get_rope_index(
            ids, is_image.int(), image_grid_thw=torch.tensor(grids) if grids else None
        )
        places = is_image[0].nonzero()[:, 0].tolist()
        starts = tuple(places[sum(counts[:index])] for index in range(len(counts)))
        return _Prompt(text, ids[0], positions[:, 0], int(offset), starts, counts)


def _outline(request: Request) -> tuple[Message, ...]:
    """Take the files out of the messages of a request."""
    return tuple(
        Message(
            message.role,
            tuple(ANY_PHOTO if isinstance(part, ImagePart) else part for part in message.parts),
        )
        for message in request.messages
    )


def _digest_of_photo(patches: torch.Tensor, grid: Grid) -> bytes:
    digest = hashlib.blake2b(repr(grid).encode(), digest_size=16)
    digest.update(patches.numpy().data)
    return digest.digest()


def _units(ids: list[int], photos: tuple[PreparedPhoto, ...], counts: tuple[int, ...]) -> list[int]:
    """Put a number of the photo, which no token has, in place of each of its image tokens."""
    for photo, count in zip(photos, counts, strict=True):
        number = -1 - int.from_bytes(photo.digest)
        ids[photo.start : photo.start + count] = [number] * count
    return ids


def _digest(text: str, photos: list[CutPhoto]) -> bytes:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    for photo in photos:
        # An answer tells facts of the file too.
        sizes = photo.sizes
        parts = (photo.digest, sizes.original_wh, sizes.resized_wh, sizes.facts.content_hash)
        digest.update(repr(parts).encode())
    return digest.digest()
