"""Preprocessing: photos opened and cut into patches, prompts rendered and tokenised."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch

from shenhe.checkpoints.interfaces import Processor, VisionLanguageModel
from shenhe.engines.local.patches import Patches
from shenhe.engines.prompts import load_photos, prompt_text
from shenhe.errors import ItemError, item_wall
from shenhe.messages import PhotoSize, Request, RequestFailed
from shenhe.photos import LoadedPhoto, PixelBudget


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request as the model takes it.

    `position_offset` plus the index of an answer token gives its position id. `digest` is equal for
    equal prompts about equal photos. `patches` and `grids` are None without photos.
    Shape: token_ids (tokens,), positions (3, tokens) for time, rows and columns, patches (patches,
    channels, size, size) as bytes, grids (photos, 3).
    """

    request: Request
    token_ids: torch.Tensor
    positions: torch.Tensor
    position_offset: int
    patches: torch.Tensor | None
    grids: torch.Tensor | None
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

    def prefetch(
        self, requests: Iterator[Request | None], count: int
    ) -> Generator[PreparedRequest | RequestFailed | None, None, None]:
        """Yield requests in order while the next `count` are prepared in threads.

        None where there is none at the moment, as the source says by None, or none is prepared yet.
        Raises: EngineError for a chat template that fails.
        """
        futures: deque[Future[PreparedRequest | RequestFailed]] = deque()
        with ThreadPoolExecutor(2, "photos") as pool:
            try:
                while True:
                    paused = False
                    for request in islice(requests, max(0, count - len(futures))):
                        if request is None:
                            paused = True
                            break
                        futures.append(pool.submit(self._prepare_or_fail, request))
                    if not futures and not paused:
                        return
                    # While the source pauses, what is running does not wait for photos.
                    ready = futures and (not paused or futures[0].done())
                    yield futures.popleft().result() if ready else None
            finally:
                for future in futures:
                    future.cancel()

    def prepare(self, request: Request) -> PreparedRequest:
        """Prepare one request.

        Raises: PhotoError; EngineError for a chat template that fails.
        """
        loaded = load_photos(request, self._budget)
        text = prompt_text(request, self._tokenizer)
        cut = [self.patches.cut(photo.image) for photo in loaded]
        grids = torch.tensor([grid for _, grid in cut]) if cut else None
        text = self._expand_image_tokens(text, [rows * columns for _, (_, rows, columns) in cut])
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        token_types = (ids == self._base.config.image_token_id).int()
        positions, offset = self._base.model.get_rope_index(ids, token_types, image_grid_thw=grids)
        return PreparedRequest(
            request,
            ids[0],
            positions[:, 0],
            int(offset),
            torch.cat([patches for patches, _ in cut]) if cut else None,
            grids,
            tuple(photo.sizes for photo in loaded),
            _digest(text, loaded),
        )

    def _expand_image_tokens(self, text: str, patch_counts: list[int]) -> str:
        """Repeat each photo's token as often as the model has embeddings for the photo.

        Raises: ValueError if a prompt has another number of image tokens than of photos.
        """
        parts = text.split(self._image_token)
        if len(parts) != len(patch_counts) + 1:
            raise ValueError(f"{len(patch_counts)} photos, and {len(parts) - 1} places for them")
        merged = self.patches.merge**2
        expanded = [self._image_token * (count // merged) for count in patch_counts]
        return parts[0] + "".join(
            tokens + part for tokens, part in zip(expanded, parts[1:], strict=True)
        )

    def _prepare_or_fail(self, request: Request) -> PreparedRequest | RequestFailed:
        try:
            with item_wall("library_error", "the question"):
                return self.prepare(request)
        except ItemError as error:
            return RequestFailed.of(request, error)


def _digest(text: str, loaded: list[LoadedPhoto]) -> bytes:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
    for photo in loaded:
        sizes = photo.sizes
        # Equal files of equal sizes have equal pixels, which take longer to hash.
        parts = (sizes.original_wh, sizes.resized_wh, sizes.facts.content_hash)
        digest.update(repr(parts).encode())
    return digest.digest()
