"""Requests made ready for the models: photos opened and cut, prompts rendered and tokenised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shenhe.engines.openvino.exported import Exported
from shenhe.engines.openvino.kv_blocks import BLOCK
from shenhe.engines.openvino.photo_patches import PhotoPatches
from shenhe.engines.openvino.prompt_positions import prompt_positions
from shenhe.engines.openvino.tokenizer import ExportedTokenizer
from shenhe.engines.photo_cache import PhotoCache
from shenhe.engines.prompts import expand_image_tokens, prompt_text
from shenhe.messages import PhotoSize, Request
from shenhe.photos import LoadedPhoto, PixelBudget


class CutPhoto(NamedTuple):
    """A photo cut into patches; `digest` is equal for equal pixels of equal size.

    Shape: patches as of PhotoPatches.cut.
    """

    digest: bytes
    patches: NDArray[np.uint8]
    sizes: PhotoSize

    @property
    def nbytes(self) -> int:
        """Memory of it. Units: bytes."""
        return self.patches.nbytes


class PreparedPhoto(NamedTuple):
    """A photo of a prompt; `digest` is equal for equal pixels of equal size.

    `start` is the place of its first image token. Shape: patches as of PhotoPatches.cut.
    """

    digest: bytes
    patches: NDArray[np.uint8]
    start: int

    @property
    def tokens(self) -> int:
        """Number of its image tokens."""
        rows, columns = self.patches.shape[:2]
        return int(rows * columns)


@dataclass(frozen=True, slots=True)
class PreparedRequest:
    """A request as the models take it; `behind` is the position of the first token of an answer.

    `block_keys` stand for the whole blocks of the prompt, each with all before it, photos included.
    Shape: token_ids (tokens,), positions (3, tokens).
    """

    request: Request
    token_ids: NDArray[np.int64]
    positions: NDArray[np.int64]
    behind: int
    photos: tuple[PreparedPhoto, ...]
    block_keys: tuple[bytes, ...]
    sizes: tuple[PhotoSize, ...]
    digest: bytes


class Preparer:
    """Prepares requests with a checkpoint's tokenizer, chat template and sizes."""

    def __init__(
        self,
        exported: Exported,
        tokenizer: ExportedTokenizer,
        budget: PixelBudget,
        kept_bytes: int,
    ) -> None:
        """Keep photos that are cut up to so many bytes."""
        self._exported, self._tokenizer = exported, tokenizer
        self._patches = PhotoPatches(exported)
        self.photos: PhotoCache[CutPhoto] = PhotoCache(budget, self._cut, kept_bytes)
        self._image_token = tokenizer.convert_ids_to_tokens(exported.image_token)

    def prepare(self, request: Request) -> PreparedRequest:
        """Prepare one request.

        Raises: PhotoError; ValueError for a prompt with other places for photos than photos;
        EngineError for a chat template that fails.
        """
        cut = self.photos.load_all(request)
        grids = [(photo.patches.shape[0], photo.patches.shape[1]) for photo in cut]
        text = prompt_text(request.messages, self._tokenizer)
        counts = [rows * columns for rows, columns in grids]
        text = expand_image_tokens(text, self._image_token, counts)
        ids = np.array(self._tokenizer(text, add_special_tokens=False)["input_ids"], np.int64)
        positions, behind = prompt_positions(ids, self._exported.image_token, grids)
        places = np.flatnonzero(ids == self._exported.image_token)
        firsts = [int(places[sum(counts[:index])]) for index in range(len(counts))]
        photos = tuple(
            PreparedPhoto(photo.digest, photo.patches, first)
            for photo, first in zip(cut, firsts, strict=True)
        )
        sizes = tuple(photo.sizes for photo in cut)
        keys = tuple(_block_keys(ids, photos))
        # An answer tells facts of the files too.
        parts = (text.encode("utf-8", "surrogatepass"), repr(sizes).encode())
        digest = _hash(*parts, *(photo.digest for photo in photos))
        return PreparedRequest(request, ids, positions, behind, photos, keys, sizes, digest)

    def _cut(self, loaded: LoadedPhoto) -> CutPhoto:
        patches = self._patches.cut(loaded.raster.array)
        digest = _hash(repr(patches.shape).encode(), patches.tobytes())
        return CutPhoto(digest, patches, loaded.sizes)


def _block_keys(ids: NDArray[np.int64], photos: tuple[PreparedPhoto, ...]) -> Iterator[bytes]:
    """Name the whole blocks of a prompt but for its last token, which is always computed."""
    units = ids.copy()
    for photo in photos:
        number = int.from_bytes(photo.digest[:8]) >> 1
        units[photo.start : photo.start + photo.tokens] = -1 - number
    key = b""
    for start in range(0, len(ids) - BLOCK, BLOCK):
        key = _hash(key, units[start : start + BLOCK].tobytes())
        yield key


def _hash(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.digest()
