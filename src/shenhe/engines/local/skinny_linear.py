"""Linear layers for a few rows at a time on a CPU, which spends its time reading the weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

FEW_ROWS, FEW_ROWS_OF_HEAD = 4, 16
"""Up to so many rows the other way round is faster."""
HEAD = 65_536
"""A matrix with so many columns is a head."""
LEAST_WEIGHTS = 1 << 18
"""Smaller matrices stay in the processor's cache, and cost nothing either way."""


class ThinLinear(nn.Linear):
    """Computes weights times rows rather than rows times weights, where rows are few.

    The result is the same but for rounding. BLAS reads float32 weights 1.5 to 5 times as fast that
    way round, and for two rows twice as fast as for one: so one row is given twice.
    Source: docs/performance.md, Thin matrices.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Shape: (..., in) in, (..., out) out."""
        rows = input.reshape(-1, self.in_features)
        count = len(rows)
        if count > (FEW_ROWS_OF_HEAD if self.out_features >= HEAD else FEW_ROWS):
            return super().forward(input)
        if count == 1:
            rows = rows.repeat(2, 1)
        found = (self.weight @ rows.T).T[:count]
        if self.bias is not None:
            found = found + self.bias
        return found.reshape(*input.shape[:-1], self.out_features)


def make_thin(model: nn.Module) -> None:
    """Let a model's large linear layers be thin, where they are plain float32 on a CPU."""
    for module in model.modules():
        # What is quantised, or another kind of layer, computes in its own way.
        if type(module) is not nn.Linear or is_quantized(module.weight):
            continue
        weight = module.weight
        plain = weight.dtype == torch.float32 and weight.device.type == "cpu"
        if plain and weight.numel() >= LEAST_WEIGHTS:
            module.__class__ = ThinLinear


def is_quantized(weight: Any) -> bool:
    """Whether a weight is made of several tensors, as torchao's are."""
    return hasattr(weight, "__tensor_flatten__")
