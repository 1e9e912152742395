"""LoRA arithmetic on one weight matrix: W + scaling * (B @ A), to the bit what PEFT computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.floats import Values, widen
from shenhe.checkpoints.tensors import StoredTensor
from shenhe.errors import needs

Matrix = NDArray[np.float32]
Product = Callable[[Matrix, Matrix, Matrix], object]
BLOCK_VALUES = 1 << 17
"""Values merged at a time: the intermediate product stays in the processor's cache."""
PROBED_ROWS = 3


def scaling(rank: int, alpha: float, *, rslora: bool) -> float:
    """Compute the factor of B @ A.

    Source: PEFT; rsLoRA divides by the square root of the rank.

        >>> scaling(16, 32, rslora=False)
        2.0
    """
    return alpha / math.sqrt(rank) if rslora else alpha / rank


def as_peft_loads(stored: StoredTensor) -> Matrix:
    """Read an adapter's weight as float32: PEFT keeps it so whatever dtype it was saved in.

    Raises: CheckpointError.
    """
    values = np.empty(stored.shape, np.float32)
    widen(stored.read(), stored.dtype, values)
    return values


def block_rows(width: int) -> int:
    """Choose the number of rows that are merged at a time.

    At least two: for one, libraries take another way to multiply, and their sums other bits.
    """
    return max(2, BLOCK_VALUES // width)


def add_lora(weight: Values, lora_a: Matrix, lora_b: Matrix, factor: float, buffer: Matrix) -> None:
    """Add `factor * (lora_b @ lora_a)` to a weight in place.

    Row by row these are PEFT's own operations, and therefore its own bits.
    Shape: weight (rows, in), lora_a (rank, in), lora_b (rows, rank), buffer (rows, in).
    """
    multiply = product_of(*lora_a.shape)
    with np.errstate(all="ignore"):  # what is not finite is told by its name
        multiply(lora_b, lora_a, buffer)
        np.multiply(buffer, np.float32(factor), out=buffer)
        np.add(weight, buffer, out=weight)


@cache
def product_of(rank: int, width: int) -> Product:
    """Choose what multiplies two matrices with PEFT's bits: numpy, or torch.

    torch sums over the rank one term after the other, each rounded once with its product, up to a
    rank of some hundred. Where numpy's library does so too (it is tried on a small matrix), their
    bits are the same, and torch is not loaded.
    """
    numbers = np.random.default_rng(0)
    lora_a = numbers.standard_normal((rank, width), np.float32)
    lora_b = numbers.standard_normal((block_rows(width), rank), np.float32)
    product = lora_b @ lora_a
    for rows in (slice(PROBED_ROWS), slice(-PROBED_ROWS, None)):
        # A float64 holds every product of two float32 exactly.
        expected = np.zeros_like(product[rows])
        for term in range(rank):
            exact = np.outer(lora_b[rows, term].astype(np.float64), lora_a[term])
            expected = (exact + expected).astype(np.float32)
        if not np.array_equal(product[rows], expected):
            return _multiply_by_torch
    return _multiply


def _multiply(lora_b: Matrix, lora_a: Matrix, product: Matrix) -> object:
    return np.matmul(lora_b, lora_a, out=product)


def _multiply_by_torch(lora_b: Matrix, lora_a: Matrix, product: Matrix) -> object:
    with needs("local"):
        import torch  # slow to import, seldom needed

    return torch.mm(*map(torch.from_numpy, (lora_b, lora_a)), out=torch.from_numpy(product))
