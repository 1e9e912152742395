"""The KV cache: keys and values of all layers, one slot for each sequence."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

MEMORY_SHARE = {"cuda": 0.8, "cpu": 0.25}
"""Share of the free memory that the cache may take when no batch size is given."""
GROWTH = 256
"""Capacity is added in steps of this many tokens: growing copies the whole cache."""


def memory_budget(device: torch.device) -> int:
    """Return the share of a device's free memory for the cache. Units: bytes."""
    share = MEMORY_SHARE.get(device.type, MEMORY_SHARE["cpu"])
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * share)
    return int(psutil.virtual_memory().available * share)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values of the first tokens of a prompt.

    Shape: keys, values: per layer (tokens, heads, size).
    """

    tokens: tuple[int, ...]
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]


class KVCache:
    """Keys and values by layer.

    Shape: keys, values: per layer (slots, capacity, heads, size).
    """

    def __init__(
        self, layers: int, heads: int, size: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.heads, self.size = heads, size
        self.keys = [
            torch.empty(0, 0, heads, size, dtype=dtype, device=device) for _ in range(layers)
        ]
        self.values = [key.clone() for key in self.keys]

    @property
    def bytes_per_token(self) -> int:
        """Memory that one token takes over all layers. Units: bytes."""
        return 2 * len(self.keys) * self.heads * self.size * self.keys[0].element_size()

    def reserve(self, slots: int, tokens: int) -> None:
        """Grow to at least this many slots of at least this many tokens; contents stay.

        Raises: torch.OutOfMemoryError.
        """
        old_slots, old_capacity = self.keys[0].shape[:2]
        if slots <= old_slots and tokens <= old_capacity:
            return
        slots = max(slots, old_slots)
        capacity = old_capacity if tokens <= old_capacity else -(-tokens // GROWTH) * GROWTH
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                # Zeros: unwritten entries are masked out, which NaN would survive.
                grown = old.new_zeros(slots, capacity, self.heads, self.size)
                grown[:old_slots, :old_capacity] = old
                tensors[layer] = grown

    def clear(self) -> None:
        """Free the memory."""
        for tensors in (self.keys, self.values):
            for layer, old in enumerate(tensors):
                tensors[layer] = old.new_empty(0, 0, self.heads, self.size)

    def copy_prefix(self, slot: int, tokens: tuple[int, ...]) -> Prefix:
        """Copy the entries of a slot's first tokens."""
        count = len(tokens)
        return Prefix(
            tokens,
            tuple(key[slot, :count].clone() for key in self.keys),
            tuple(value[slot, :count].clone() for value in self.values),
        )

    def load_prefix(self, slot: int, prefix: Prefix, count: int) -> None:
        """Fill the start of a slot with the first `count` tokens of a prefix."""
        for tensors, parts in ((self.keys, prefix.keys), (self.values, prefix.values)):
            for layer, part in enumerate(parts):
                tensors[layer][slot, :count] = part[:count]
