"""What an engine keeps of the work on requests, for others that need the same."""

from __future__ import annotations

import torch

from shenhe.engines.base import Reuse
from shenhe.engines.local.kv_cache import free_memory
from shenhe.engines.local.photo_embedding import PhotoFeatures
from shenhe.engines.local.prefix_cache import PrefixCache
from shenhe.engines.local.preprocessing import CutPhoto
from shenhe.engines.photo_cache import PhotoCache
from shenhe.engines.tower_cache import TowerCache

SHARE = 8
"""By default this part of the free memory is kept, and this part of it for decoded photos."""


class KeptWork:
    """Features of photos, and keys and values of prompts: half of the memory each."""

    def __init__(
        self, megabytes: int | None, device: torch.device, photos: PhotoCache[CutPhoto]
    ) -> None:
        """Keep at most so much besides `photos`; None: a part of what is free now. Units: MB."""
        total = _kept_bytes(megabytes, device)
        total -= total // SHARE
        self.photos = photos
        self.towers: TowerCache[PhotoFeatures] = TowerCache(total // 2)
        self.prefixes = PrefixCache(total // 2)

    @property
    def reuse(self) -> Reuse:
        """What was needed so far, and what of it was here."""
        return Reuse(
            self.towers.photos,
            self.towers.reused_photos,
            self.prefixes.prompt_tokens,
            self.prefixes.reused_tokens,
        )

    def clear(self) -> None:
        """Drop everything and free its memory: the weights have changed, or memory runs out."""
        self.photos.clear()
        self.towers.clear()
        self.prefixes.clear()


def photo_bytes(megabytes: int | None) -> int:
    """Return the part of what is kept that is for decoded photos, which no GPU holds.

    Units: MB in, bytes out.

    >>> photo_bytes(800)
    100000000
    """
    return _kept_bytes(megabytes, torch.device("cpu")) // SHARE


def _kept_bytes(megabytes: int | None, device: torch.device) -> int:
    return free_memory(device) // SHARE if megabytes is None else megabytes * 1_000_000
