"""LoRA arithmetic on one weight matrix: W + scaling * (B @ A), to the bit what PEFT computes."""

from __future__ import annotations

import math

import torch

BLOCK_VALUES = 1 << 18
"""Values merged at a time: the intermediate product stays in the processor's cache."""


def scaling(rank: int, alpha: float, *, rslora: bool) -> float:
    """Compute the factor of B @ A.

    Source: PEFT; rsLoRA divides by the square root of the rank.

        >>> scaling(16, 32, rslora=False)
        2.0
    """
    return alpha / math.sqrt(rank) if rslora else alpha / rank


def as_peft_loads(weight: torch.Tensor) -> torch.Tensor:
    """Convert an adapter's weight to float32: PEFT keeps it so whatever dtype it was saved in."""
    return weight.float()


def add_lora(
    weight: torch.Tensor, lora_a: torch.Tensor, lora_b: torch.Tensor, factor: float
) -> None:
    """Add `factor * (lora_b @ lora_a)` to a weight in place, a block of rows at a time.

    Row by row these are PEFT's own operations, and therefore its own bits.
    Shape: weight (out, in), lora_a (rank, in), lora_b (out, rank).
    Raises: ArithmeticError if the result is not finite.
    """
    count = max(1, BLOCK_VALUES // weight.shape[1])
    buffer = torch.empty(min(count, len(weight)), weight.shape[1], dtype=lora_b.dtype)
    for start in range(0, len(weight), count):
        block = weight[start : start + count]
        product = buffer[: len(block)]
        torch.mm(lora_b[start : start + count], lora_a, out=product)
        block += product.mul_(factor)
        if not math.isfinite(block.sum(dtype=torch.float32)):
            raise ArithmeticError
