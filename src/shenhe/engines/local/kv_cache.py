"""The KV cache: keys and values of all layers, one slot for each sequence."""

from __future__ import annotations

import psutil
import torch

MEMORY_SHARE = {"cuda": 0.8, "cpu": 0.25}
"""Share of the free memory that the cache may take when no batch size is given."""
GROWTH = 256
"""Capacity is added in steps of this many tokens: growing copies the whole cache."""


def free_memory(device: torch.device) -> int:
    """Return the free memory of a device. Units: bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def memory_budget(device: torch.device) -> int:
    """Return the share of a device's free memory for the cache. Units: bytes."""
    return int(free_memory(device) * MEMORY_SHARE.get(device.type, MEMORY_SHARE["cpu"]))


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

    def copy(self, slot: int, start: int, stop: int) -> torch.Tensor:
        """Copy the entries of some tokens of a slot.

        Shape: (2 x layers, tokens, heads, size), the keys of all layers before the values.
        Raises: torch.OutOfMemoryError.
        """
        return torch.stack([tensor[slot, start:stop] for tensor in (*self.keys, *self.values)])

    def load(self, slot: int, start: int, entries: torch.Tensor) -> None:
        """Put copied entries into a slot, from the token at `start` on. Shape: as of `copy`."""
        stop = start + entries.shape[1]
        for tensor, part in zip((*self.keys, *self.values), entries, strict=True):
            tensor[slot, start:stop] = part
