"""LoRA arithmetic on one weight matrix: W + scaling * (B @ A), to the bit what PEFT computes."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.floats import Values, widen
from shenhe.checkpoints.tensors import StoredTensor
from shenhe.errors import needs

Matrix = NDArray[np.float32]
Planes = NDArray[np.float32]
"""The even columns of a matrix, and the odd ones. Shape: (2, rows, columns / 2)."""
BLOCK_VALUES = 120_000
"""Values merged at a time: they and the product stay in the processor's cache. Up to rank 16 a
half of them is a product that OpenBLAS calculates without copying its factors first."""
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


def as_planes(matrix: Matrix) -> Planes:
    """Part even columns from odd ones.

    >>> as_planes(np.arange(6, dtype=np.float32).reshape(1, 6))[0]
    array([[0., 2., 4.]], dtype=float32)
    """
    rows, width = matrix.shape
    return np.ascontiguousarray(matrix.reshape(rows, width // 2, 2).transpose(2, 0, 1))


def block_rows(width: int) -> int:
    """Choose the number of rows that are merged at a time.

    At least two: for one, libraries take another way to multiply, and their sums other bits.
    """
    return max(2, BLOCK_VALUES // width)


def add_lora(
    weight: Values, lora_a: Matrix | Planes, lora_b: Matrix, factor: float, buffer: Matrix | Planes
) -> None:
    """Add `factor * (lora_b @ lora_a)` to a weight in place.

    Row by row these are PEFT's own operations, and therefore its own bits. What is not finite is
    warned of by numpy, if it is not told otherwise.
    Shape: weight (rows, in), lora_a (rank, in), lora_b (rows, rank), buffer (rows, in); or planes
    of these but `lora_b`, where `adds_as_torch` holds.
    """
    if weight.ndim == 3 or adds_as_torch(*lora_a.shape, block_rows(lora_a.shape[-1])):
        np.matmul(lora_b, lora_a, out=buffer)
    else:
        _multiply_by_torch(lora_b, lora_a, buffer)
    np.multiply(buffer, np.float32(factor), out=buffer)
    np.add(weight, buffer, out=weight)


@cache
def adds_as_torch(rank: int, width: int, rows: int) -> bool:
    """Whether numpy's product of two matrices has PEFT's bits, with two rows or more.

    torch sums over the rank one term after the other, each rounded once with its product, up to a
    rank of some hundred. Where numpy's library does so too, their bits are the same, and torch need
    not be loaded. It is tried on few rows and on many, for which libraries have code of their own.
    Shape: the product is (rows, width).
    """
    numbers = np.random.default_rng(0)
    lora_a = numbers.standard_normal((rank, width), np.float32)
    lora_b = numbers.standard_normal((rows, rank), np.float32)
    probed = slice(PROBED_ROWS)
    return all(
        np.array_equal((factor @ lora_a)[probed], _sum_in_order(factor[probed], lora_a))
        for factor in (lora_b[:2], lora_b[:PROBED_ROWS], lora_b, lora_b[::-1].copy())
    )


def _sum_in_order(lora_b: Matrix, lora_a: Matrix) -> Matrix:
    """Multiply two matrices, one term after the other, each rounded once with its product."""
    total = np.zeros((len(lora_b), lora_a.shape[1]), np.float32)
    for term, row in enumerate(lora_a):
        # A float64 holds every product of two float32 exactly.
        total = (np.outer(lora_b[:, term].astype(np.float64), row) + total).astype(np.float32)
    return total


def _multiply_by_torch(lora_b: Matrix, lora_a: Matrix, product: Matrix) -> None:
    with needs("local"):
        import torch  # slow to import, seldom needed

    torch.mm(*map(torch.from_numpy, (lora_b, lora_a)), out=torch.from_numpy(product))
