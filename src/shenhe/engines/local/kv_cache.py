"""The keys and values of what is being written: a row for each sequence, in every layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch

GROWTH = 256
"""Columns are added so many at a time: every addition moves what is there."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the tokens have that a prompt begins with. Shape of each: (tokens, heads, size)."""

    tokens: tuple[int, ...]
    keys: tuple[torch.Tensor, ...]
    values: tuple[torch.Tensor, ...]


class KeyValues:
    """Keys and values by layer. Shape of each: (rows, columns, heads, size)."""

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
        """What a token takes in all layers."""
        return 2 * len(self.keys) * self.heads * self.size * self.keys[0].element_size()

    def reserve(self, rows: int, columns: int) -> None:
        """Make room for so many sequences of such a length; what is there stays.

        Raises: torch.OutOfMemoryError.
        """
        had_rows, had_columns = self.keys[0].shape[:2]
        if rows <= had_rows and columns <= had_columns:
            return
        rows = max(rows, had_rows)
        if columns > had_columns:
            had, columns = had_columns, -(-columns // GROWTH) * GROWTH
        else:
            had, columns = had_columns, had_columns
        for kept in (self.keys, self.values):
            for layer, old in enumerate(kept):
                # Zeros: what nothing was written to is masked out, and NaN would not be.
                fresh = old.new_zeros(rows, columns, self.heads, self.size)
                fresh[:had_rows, :had] = old
                kept[layer] = fresh

    def clear(self) -> None:
        """Give the memory back."""
        for kept in (self.keys, self.values):
            for layer, old in enumerate(kept):
                kept[layer] = old.new_empty(0, 0, self.heads, self.size)

    def head(self, row: int, tokens: tuple[int, ...]) -> Head:
        """Copy what the first tokens of a row have."""
        count = len(tokens)
        return Head(
            tokens,
            tuple(key[row, :count].clone() for key in self.keys),
            tuple(value[row, :count].clone() for value in self.values),
        )

    def put(self, row: int, head: Head, count: int) -> None:
        """Begin a row with the first so many tokens of a head."""
        for kept, given in ((self.keys, head.keys), (self.values, head.values)):
            for layer, part in enumerate(given):
                kept[layer][row, :count] = part[:count]
