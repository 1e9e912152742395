"""Linear layers for skinny GEMMs: few rows on a CPU, where reading the weights takes the time."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

MAX_ROWS, MAX_ROWS_OF_LM_HEAD = 4, 16
"""Up to this many rows the transposed product is faster."""
LM_HEAD_ROWS = 65_536
"""A matrix with this many output features is treated as an LM head."""
MIN_WEIGHTS = 1 << 18
"""Smaller matrices stay in the processor's cache, where the order makes no difference."""


class SkinnyLinear(nn.Linear):
    """Computes weights times rows instead of rows times weights for few rows.

    The result is the same but for rounding. BLAS reads float32 weights 1.5 to 5 times as fast in
    that order, and two rows take half the time of one: a single row is duplicated.
    Source: docs/performance.md, Skinny matrices.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Shape: (..., in) in, (..., out) out."""
        rows = input.reshape(-1, self.in_features)
        count = len(rows)
        if count > (MAX_ROWS_OF_LM_HEAD if self.out_features >= LM_HEAD_ROWS else MAX_ROWS):
            return super().forward(input)
        if count == 1:
            rows = rows.repeat(2, 1)
        output = (self.weight @ rows.T).T[:count]
        if self.bias is not None:
            output = output + self.bias
        return output.reshape(*input.shape[:-1], self.out_features)


def use_skinny_linear(modules: Iterable[nn.Module]) -> None:
    """Turn large plain float32 linear layers on a CPU into skinny ones, in place."""
    for module in modules:
        # Quantised layers and subclasses compute in their own way.
        if type(module) is not nn.Linear or is_quantized(module.weight):
            continue
        weight = module.weight
        plain = weight.dtype == torch.float32 and weight.device.type == "cpu"
        if plain and weight.numel() >= MIN_WEIGHTS:
            module.__class__ = SkinnyLinear


def is_quantized(weight: torch.Tensor) -> bool:
    """Whether a weight consists of several tensors, as torchao's do. Shape: any."""
    return hasattr(weight, "__tensor_flatten__")
