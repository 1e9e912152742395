"""Linear layers for skinny GEMMs: few rows on a CPU, where reading the weights takes the time."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

MAX_ROWS, MAX_ROWS_OF_LM_HEAD, MAX_ROWS_OF_BFLOAT16 = 4, 16, 16
"""Up to this many rows the transposed product is faster; the last for all matrices in bfloat16."""
SKINNY_DTYPES = (torch.float32, torch.bfloat16)
LM_HEAD_ROWS = 65_536
"""A matrix with this many output features is treated as an LM head."""
INT8_PARTS = ("qdata", "scale")
"""What a weight of torchao's int8 consists of."""
INT8_BLOCK = 64
"""The width of such a weight is a multiple of this."""
MIN_WEIGHTS = 1 << 18
"""Smaller matrices stay in the processor's cache, where the order makes no difference."""


class SkinnyLinear(nn.Linear):
    """Computes weights times rows instead of rows times weights for few rows.

    The result is the same but for rounding. BLAS reads float32 weights 1.5 to 5 times as fast in
    that order, oneDNN bfloat16 1.3 times, and two rows take less time than one: a single row is
    duplicated.
    Source: docs/performance.md, Skinny matrices.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Shape: (..., in) in, (..., out) out."""
        rows = input.reshape(-1, self.in_features)
        count = len(rows)
        if count > self._max_rows():
            return super().forward(input)
        if count == 1:
            rows = rows.repeat(2, 1)
        output = (self.weight @ rows.T).T[:count]
        if self.bias is not None:
            output = output + self.bias
        return output.reshape(*input.shape[:-1], self.out_features)

    def _max_rows(self) -> int:
        if self.weight.dtype == torch.bfloat16:
            return MAX_ROWS_OF_BFLOAT16
        return MAX_ROWS_OF_LM_HEAD if self.out_features >= LM_HEAD_ROWS else MAX_ROWS


class SkinnyInt8Linear(nn.Linear):
    """Reads the weights of torchao's int8 as they are for few rows; the same but for rounding.

    torchao writes all weights out in the dtype of the rows, for each product anew, which takes
    three times as long.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Shape: (..., in) in, (..., out) out."""
        rows = input.reshape(-1, self.in_features)
        if len(rows) > MAX_ROWS:
            return super().forward(input)
        integers, scale = (getattr(self.weight, name) for name in INT8_PARTS)
        output = torch._weight_int8pack_mm(
            rows.contiguous(), integers, scale.flatten().to(rows.dtype)
        )
        if self.bias is not None:
            output = output + self.bias
        return output.reshape(*input.shape[:-1], self.out_features)


def use_skinny_linear(modules: Iterable[nn.Module]) -> None:
    """Turn large plain linear layers on a CPU into skinny ones, in place."""
    for module in modules:
        # Subclasses compute in their own way.
        if type(module) is not nn.Linear:
            continue
        weight = module.weight
        if is_quantized(weight):
            if _is_int8(module):
                module.__class__ = SkinnyInt8Linear
            continue
        plain = weight.dtype in SKINNY_DTYPES and weight.device.type == "cpu"
        if plain and weight.numel() >= MIN_WEIGHTS:
            module.__class__ = SkinnyLinear


def _is_int8(module: nn.Linear) -> bool:
    """Whether torch has a product for the weights of a quantised layer."""
    return (
        module.weight.device.type == "cpu"
        and all(hasattr(module.weight, part) for part in INT8_PARTS)
        and module.in_features % INT8_BLOCK == 0
        and hasattr(torch, "_weight_int8pack_mm")  # not promised to stay
    )


def is_quantized(weight: torch.Tensor) -> bool:
    """Whether a weight consists of several tensors, as torchao's do. Shape: any."""
    return hasattr(weight, "__tensor_flatten__")
