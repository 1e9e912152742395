"""Numbers of one precision as those of another, to the bit what torch makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.tensors import BFLOAT16, FLOAT64, Dtype

Values = NDArray[np.float32] | NDArray[np.float64]
Stored = NDArray[np.generic]
"""Values in the dtype that their bytes are stored as: bfloat16 as its bits."""
_QUIET_NAN = 0x7FC0


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
    bits, last = values.view(np.uint32), spare.view(np.uint32)
    np.right_shift(bits, 16, out=last)
    np.bitwise_and(last, 1, out=last)
    np.add(last, 0x7FFF, out=last)
    np.add(bits, last, out=bits)
    np.right_shift(bits, 16, out=bits)
    np.copyto(stored, bits, casting="unsafe")


def narrow_any(values: Values, dtype: Dtype, stored: Stored, spare: Values) -> None:
    """Round like `narrow`, whatever the bits of a NaN."""
    damaged = np.isnan(values)
    narrow(values, dtype, stored, spare)
    if dtype == BFLOAT16:
        stored[damaged] = _QUIET_NAN


def is_finite(stored: Stored, dtype: Dtype, spare: Values) -> bool:
    """Whether no stored number is NaN or infinite. `spare` is memory that may be changed."""
    bits = stored.view(f"<u{dtype.itemsize}")
    exponents = spare.reshape(-1).view(bits.dtype)[: bits.size].reshape(bits.shape)
    np.bitwise_and(bits, dtype.exponent, out=exponents)
    return int(exponents.max()) < dtype.exponent
