"""Numbers of one precision as those of another, to the bit what torch makes of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.tensors import BFLOAT16, FLOAT64, Dtype

Values = NDArray[np.float32] | NDArray[np.float64]
Stored = NDArray[np.generic]
"""Values in the dtype that their bytes are stored as: bfloat16 as its bits."""
Bits = NDArray[np.uint32]
_INTEGERS = {size: (np.dtype(f"<i{size}"), np.dtype(f"<u{size}")) for size in (1, 2, 4, 8)}
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


def widen_planes(pairs: Bits, planes: Bits) -> None:
    """Turn bfloat16 into float32, two with each operation: even columns apart from odd ones.

    Shape: pairs (numbers / 2,), two bfloat16 each; planes (2, numbers / 2), the bits of float32.
    """
    np.left_shift(pairs, 16, out=planes[0])
    np.bitwise_and(pairs, _UPPER, out=planes[1])


def narrow_planes(planes: Bits, pairs: Bits, spare: Bits) -> None:
    """Round like `narrow`, and put even and odd columns side by side.

    Shape: as `widen_planes`; spare as planes.
    """
    _round_to_even(planes, spare)
    even, odd = planes
    np.right_shift(even, 16, out=even)
    np.bitwise_and(odd, _UPPER, out=odd)
    np.bitwise_or(even, odd, out=pairs)


def _round_to_even(bits: Bits, last: Bits) -> None:
    """Make the upper halves of float32 the nearest bfloat16; the lower ones hold anything."""
    np.right_shift(bits, 16, out=last)
    np.bitwise_and(last, 1, out=last)
    np.add(last, 0x7FFF, out=last)
    np.add(bits, last, out=bits)


def is_finite(stored: Stored, dtype: Dtype) -> bool:
    """Whether no stored number is NaN or infinite."""
    signed, unsigned = _INTEGERS[dtype.itemsize]
    negative = dtype.exponent | 1 << (8 * dtype.itemsize - 1)
    # As integers those are the largest of all with their sign.
    return (
        int(stored.view(signed).max()) < dtype.exponent
        and int(stored.view(unsigned).max()) < negative
    )
