"""Rows of a tensor while adapters are added: in memory for reuse, as one plane or as two."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.floats import (
    Stored,
    Values,
    narrow,
    narrow_any,
    narrow_planes,
    widen,
    widen_planes,
    working_dtype,
)
from shenhe.checkpoints.lora import Matrix, Planes
from shenhe.checkpoints.tensors import Dtype

Bytes = NDArray[np.uint8]


class Memory:
    """Memory for reuse: fresh pages cost more than the computation in them."""

    def __init__(self) -> None:
        self._kept: dict[str, Bytes] = {}

    def take(self, use: str, nbytes: int) -> Bytes:
        """Return memory with arbitrary content, aligned for any number."""
        if len(self._kept.get(use, ())) < nbytes:
            self._kept[use] = np.empty(nbytes, np.uint8)
        return self._kept[use][:nbytes]


class Block(Protocol):
    """Rows of a tensor: `values` to calculate with, and room for a product of the same shape."""

    values: Values
    product: Matrix | Planes

    def widen(self, stored: Stored, dtype: Dtype) -> None:
        """Make values of stored rows."""

    def narrow(self) -> None:
        """Round the values into the result; they hold anything then."""


class PlainBlock:
    """Rows in any precision. Shape: values and product (rows, columns), as the result."""

    values: Values
    product: Matrix | Planes

    def __init__(self, result: Stored, dtype: Dtype, kind: str | None, memory: Memory) -> None:
        """Take memory for values of a kind (numpy's name), by default that of the precision."""
        kind = kind or working_dtype(dtype)
        nbytes = result.size * np.dtype(kind).itemsize
        self._result, self._dtype = result, dtype
        self.values = memory.take("values", nbytes).view(kind).reshape(result.shape)
        self._spare: Values = memory.take("spare", nbytes).view(kind).reshape(result.shape)
        product = self._spare.reshape(-1).view(np.float32)[: result.size]
        self.product = product.reshape(result.shape)

    def widen(self, stored: Stored, dtype: Dtype) -> None:
        """Make values of stored rows, rounded to the result's precision, which is written too."""
        widen(stored, dtype, self.values)
        if dtype != self._dtype:
            narrow_any(self.values, self._dtype, self._result, self._spare)
            widen(self._result, self._dtype, self.values)

    def narrow(self) -> None:
        """Round the values into the result."""
        narrow(self.values, self._dtype, self._result, self._spare)


class PlanarBlock:
    """Rows of bfloat16, even columns apart from odd ones, so that no number is moved alone.

    Shape: values and product (2, rows, columns / 2).
    """

    values: Values
    product: Matrix | Planes

    def __init__(self, result: Stored, memory: Memory) -> None:
        rows, width = result.shape
        self._result = result.view("<u4")
        self.values, self.product = (
            memory.take(use, result.size * 4).view(np.float32).reshape(2, rows, width // 2)
            for use in ("values", "spare")
        )

    def widen(self, stored: Stored, dtype: Dtype) -> None:
        """Make values of stored rows."""
        widen_planes(stored.view("<u4"), self.values)

    def narrow(self) -> None:
        """Round the values into the result."""
        narrow_planes(self.values, self._result, self.product)
