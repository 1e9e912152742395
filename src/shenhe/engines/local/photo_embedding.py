"""Photos put into a forward pass: the vision tower's output in place of image tokens."""

from __future__ import annotations

from collections import abc
from typing import NamedTuple

import torch

from shenhe.checkpoints.interfaces import VisionLanguageModel
from shenhe.engines.local.patches import Patches
from shenhe.engines.local.preprocessing import PreparedPhoto
from shenhe.engines.local.sequence import Sequence
from shenhe.engines.local.tower_attention import stops_for_attention
from shenhe.engines.tower_cache import TowerCache

MAX_PATCHES = {"cpu": 4096}
"""Patches that pass the tower together, by device. On a CPU more of them gain nothing, and what
lies between its layers outgrows the processor's cache and the blocks that glibc keeps."""


class PhotoFeatures(NamedTuple):
    """Output of the vision tower for one photo.

    Shape: embedded (image tokens, hidden), deepstack the same for each layer that takes them.
    """

    embedded: torch.Tensor
    deepstack: tuple[torch.Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Memory of it. Units: bytes."""
        return sum(part.nbytes for part in (self.embedded, *self.deepstack))

    def copy(self) -> PhotoFeatures:
        """Copy it, as a part of a tensor keeps the whole of it in memory.

        Raises: torch.OutOfMemoryError.
        """
        deepstack = tuple(part.clone() for part in self.deepstack)
        return PhotoFeatures(self.embedded.clone(), deepstack)


class VisionInputs(NamedTuple):
    """Image embeddings put into a pass.

    Shape: embedded (1, tokens, hidden), mask (1, tokens), deepstack (image tokens, hidden) each.
    """

    embedded: torch.Tensor
    mask: torch.Tensor | None
    deepstack: list[torch.Tensor] | None


def embed_photos(
    base: VisionLanguageModel,
    patches: Patches,
    cache: TowerCache[PhotoFeatures],
    sequences: abc.Sequence[Sequence],
    embedded: torch.Tensor,
) -> VisionInputs:
    """Put the photos among the next tokens of sequences into a pass.

    The vision tower runs over those that are not in its cache, each once.
    Shape: embedded (1, tokens, hidden).
    """
    photos = [photo for sequence in sequences for photo in sequence.next_photos]
    if not photos:
        return VisionInputs(embedded, None, None)
    features = _features(base, patches, cache, photos)
    parts = [features[photo.digest] for photo in photos]
    mask = torch.cat([_image_mask(sequence, base) for sequence in sequences])[None]
    mask = mask.to(embedded.device)
    values = torch.cat([part.embedded for part in parts]).to(embedded.dtype)
    embedded = embedded.masked_scatter(mask[..., None], values)
    deepstack = [torch.cat(layer) for layer in zip(*(p.deepstack for p in parts), strict=True)]
    return VisionInputs(embedded, mask, deepstack)


def _features(
    base: VisionLanguageModel,
    patches: Patches,
    cache: TowerCache[PhotoFeatures],
    photos: list[PreparedPhoto],
) -> dict[bytes, PhotoFeatures]:
    """Compute or look up the features of photos, by their digests."""
    features: dict[bytes, PhotoFeatures] = {}
    new: dict[bytes, PreparedPhoto] = {}
    for photo in photos:
        if photo.digest not in features and photo.digest not in new:
            kept = cache.get(photo.digest)
            if kept is None:
                new[photo.digest] = photo
            else:
                features[photo.digest] = kept
    if not new:
        return features
    for group in _groups(list(new.values()), MAX_PATCHES.get(base.device.type)):
        computed = _run_tower(base, patches, group)
        for photo, photo_features in zip(group, computed, strict=True):
            features[photo.digest] = photo_features
            cache.put(photo.digest, photo_features)
    return features


def _groups(photos: list[PreparedPhoto], limit: int | None) -> list[list[PreparedPhoto]]:
    """Group photos so that none but a single one has more patches than the limit."""
    groups: list[list[PreparedPhoto]] = []
    count = 0
    for photo in photos:
        count += len(photo.patches)
        if not groups or (limit is not None and count > limit):
            groups.append([])
            count = len(photo.patches)
        groups[-1].append(photo)
    return groups


def _run_tower(
    base: VisionLanguageModel, patches: Patches, photos: list[PreparedPhoto]
) -> list[PhotoFeatures]:
    """Run the vision tower over photos together."""
    grids = torch.stack([photo.grid for photo in photos])
    output = base.model.get_image_features(
        patches.floats(torch.cat([photo.patches for photo in photos]).to(base.device)),
        grids.to(base.device),
        return_dict=True,
        **stops_for_attention(base.model.visual, grids),
    )
    by_photo = zip(output.pooler_output, *output.deepstack_features, strict=True)
    return [PhotoFeatures(embedded, tuple(deepstack)) for embedded, *deepstack in by_photo]


def _image_mask(sequence: Sequence, base: VisionLanguageModel) -> torch.Tensor:
    """Mark the image tokens among a sequence's next tokens. Shape: (tokens,)."""
    mask = torch.zeros(len(sequence.next_tokens), dtype=torch.bool)
    if sequence.in_prefill:
        prompt = sequence.prepared.token_ids[sequence.cached :]
        mask[: len(prompt)] = prompt == base.config.image_token_id
    return mask
