"""Preprocessing: photos opened and cut into patches, prompts rendered and tokenised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from shenhe.checkpoints.interfaces import Processor, VisionLanguageModel
from shenhe.engines.local.patches import Patches
from shenhe.engines.prompts import expand_image_tokens, load_photos, prompt_text
from shenhe.messages import PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget


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
        self, processor: Processor, base: VisionLanguageModel, budget: PixelBudget
    ) -> None:
        self._tokenizer, self._base, self._budget = processor.tokenizer, base, budget
        self.patches = Patches(processor.image_processor)
        self._image_token = self._tokenizer.convert_ids_to_tokens(base.config.image_token_id)

    def prepare(self, request: Request) -> PreparedRequest:
        """Prepare one request.

        Raises: PhotoError; EngineError for a chat template that fails.
        """
        loaded = load_photos(request, self._budget)
        text = prompt_text(request, self._tokenizer)
        cut = [self.patches.cut(photo.image) for photo in loaded]
        grids = torch.tensor([grid for _, grid in cut]) if cut else None
        counts = [rows * columns // self.patches.merge**2 for _, (_, rows, columns) in cut]
        text = expand_image_tokens(text, self._image_token, counts)
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        is_image = ids == self._base.config.image_token_id
        positions, offset = self._base.model.get_rope_index(
            ids, is_image.int(), image_grid_thw=grids
        )
        places = is_image[0].nonzero()[:, 0].tolist()
        starts = [places[sum(counts[:index])] for index in range(len(counts))]
        photos = tuple(
            PreparedPhoto(_digest_of_photo(patches, grid), patches, torch.tensor(grid), start)
            for (patches, grid), start in zip(cut, starts, strict=True)
        )
        units = tuple(_units(ids[0].tolist(), photos, counts))
        return PreparedRequest(
            request,
            ids[0],
            positions[:, 0],
            int(offset),
            photos,
            units,
            tuple(photo.sizes for photo in loaded),
            _digest(text, photos, loaded),
        )


def _digest_of_photo(patches: torch.Tensor, grid: tuple[int, int, int]) -> bytes:
    digest = hashlib.blake2b(repr(grid).encode(), digest_size=16)
    digest.update(patches.numpy().tobytes())
    return digest.digest()


def _units(ids: list[int], photos: tuple[PreparedPhoto, ...], counts: list[int]) -> list[int]:
    """Put a number of the photo, which no token has, in place of each of its image tokens."""
    units = list(ids)
    for photo, count in zip(photos, counts, strict=True):
        number = -1 - int.from_bytes(photo.digest)
        units[photo.start : photo.start + count] = [number] * count
    return units


def _digest(text: str, photos: tuple[PreparedPhoto, ...], loaded: list[LoadedPhoto]) -> bytes:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    for photo, origin in zip(photos, loaded, strict=True):
        # An answer tells facts of the file too.
        sizes = origin.sizes
        parts = (photo.digest, sizes.original_wh, sizes.resized_wh, sizes.facts.content_hash)
        digest.update(repr(parts).encode())
    return digest.digest()
