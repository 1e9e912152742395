"""Numbers of one precision as those of another, to the bit what torch makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.tensors import BFLOAT16, FLOAT64, Dtype

Values = NDArray[np.float32] | NDArray[np.float64]
Stored = NDArray[np.generic]
"""Values in the dtype that their bytes are stored as: bfloat16 as its bits."""
Pairs = NDArray[np.uint32]
"""bfloat16, two in a word."""
_QUIET_NAN = 0x7FC0
_UPPER = 0xFFFF0000
"""The bits of a float32 that bfloat16 keeps."""


def working_dtype(dtype: Dtype) -> str:
    """Choose numpy's dtype for sums whose result is stored as `dtype`."""
    return "<f8" if dtype == FLOAT64 else "<f4"


def widen(stored: Stored, dtype: Dtype, values: Values) -> None:
    """Turn stored numbers into those to calculate with."""
    if dtype == BFLOAT16:
        bits = values.view(np.uint32)
        bits[...] = stored
        np.left_shift(bits, 16, out=bits)
    else:
        with np.errstate(over="ignore"):
            values[...] = stored


def narrow(values: Values, dtype: Dtype, stored: Stored, spare: Values) -> None:
    """Round numbers to the nearest that can be stored, to the even one where two are as near.

    `values` and `spare`, memory of the same size, hold anything after that. A NaN is kept one where
    its last 16 bits are 0, see `narrow_any`.
    """
    if dtype != BFLOAT16:
        with np.errstate(over="ignore", under="ignore"):
            stored[...] = values
        return
    bits = values.view(np.uint32)
    _round_to_even(bits, spare.view(np.uint32))
    np.right_shift(bits, 16, out=bits)
    np.copyto(stored, bits, casting="unsafe")


def narrow_any(values: Values, dtype: Dtype, stored: Stored, spare: Values) -> None:
    """Round like `narrow`, whatever the bits of a NaN."""
    damaged = np.isnan(values)
    narrow(values, dtype, stored, spare)
    if dtype == BFLOAT16:
        stored[damaged] = _QUIET_NAN


def widen_planes(pairs: Pairs, planes: Values) -> None:
    """Turn bfloat16 into float32, two with each operation: even columns apart from odd ones.

    Shape: pairs (rows, columns / 2) of 32 bits each, planes (2, rows, columns / 2).
    """
    bits = planes.view(np.uint32)
    np.left_shift(pairs, 16, out=bits[0])
    np.bitwise_and(pairs, _UPPER, out=bits[1])


def narrow_planes(planes: Values, pairs: Pairs, spare: Values) -> None:
    """Round like `narrow`, and put even and odd columns side by side.

    Shape: as `widen_planes`; spare as planes.
    """
    bits = planes.view(np.uint32)
    _round_to_even(bits, spare.view(np.uint32))
    np.right_shift(bits[0], 16, out=bits[0])
    np.bitwise_and(bits[1], _UPPER, out=bits[1])
    np.bitwise_or(bits[0], bits[1], out=pairs)


def _round_to_even(bits: NDArray[np.uint32], last: NDArray[np.uint32]) -> None:
    """Make the upper halves of float32 the nearest bfloat16; the lower ones hold anything."""
    np.right_shift(bits, 16, out=last)
    np.bitwise_and(last, 1, out=last)
    np.add(last, 0x7FFF, out=last)
    np.add(bits, last, out=bits)


def is_finite(stored: Stored, dtype: Dtype) -> bool:
    """Whether no stored number is NaN or infinite."""
    size = dtype.itemsize
    sign = 1 << (8 * size - 1)
    # As integers those are the largest of all with their sign.
    return (
        int(stored.view(f"<i{size}").max()) < dtype.exponent
        and int(stored.view(f"<u{size}").max()) < sign | dtype.exponent
    )
