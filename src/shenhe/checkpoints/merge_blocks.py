"""Rows of a tensor while adapters are added: in memory for reuse, as one plane or as two."""

from __future__ import annotations

import math
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
    """Memory for some rows, used for many of a tensor one after the other.

    `raw` is where the base's bytes are read to, `values` are what to calculate with, `product` is
    room for as many.
    """

    raw: memoryview
    values: Values
    product: Matrix | Planes

    def load(self, result: Bytes) -> None:
        """Make values of `raw`, rounded as the result will be: that is written where it differs."""

    def reload(self, result: Bytes) -> None:
        """Make values of the result."""

    def narrow(self, result: Bytes) -> None:
        """Round the values into the result; they hold anything then."""


class PlainBlock:
    """Rows in any precision. Shape: values and product (rows, columns)."""

    raw: memoryview
    values: Values
    product: Matrix | Planes

    def __init__(
        self, shape: tuple[int, int], dtypes: tuple[Dtype, Dtype], add_up: bool, memory: Memory
    ) -> None:
        """Take memory. `dtypes` are those of the base and of the result."""
        self._stored_dtype, self._dtype = dtypes
        count = math.prod(shape)
        kind = np.dtype("<f4" if add_up else working_dtype(self._dtype))
        raw = memory.take("raw", count * self._stored_dtype.itemsize)
        self.raw = raw.data
        self._stored: Stored = raw.view(self._stored_dtype.storage).reshape(shape)
        values, spare = (memory.take(use, count * kind.itemsize) for use in ("values", "spare"))
        self.values = values.view(kind).reshape(shape)
        self._spare: Values = spare.view(kind).reshape(shape)
        self.product = spare.view(np.float32)[:count].reshape(shape)

    def load(self, result: Bytes) -> None:
        """Make values of `raw`, rounded as the result will be: that is written where it differs."""
        widen(self._stored, self._stored_dtype, self.values)
        if self._stored_dtype != self._dtype:
            narrow_any(self.values, self._dtype, self._rows(result), self._spare)
            self.reload(result)

    def reload(self, result: Bytes) -> None:
        """Make values of the result."""
        widen(self._rows(result), self._dtype, self.values)

    def narrow(self, result: Bytes) -> None:
        """Round the values into the result; they hold anything then."""
        narrow(self.values, self._dtype, self._rows(result), self._spare)

    def _rows(self, result: Bytes) -> Stored:
        return result.view(self._dtype.storage).reshape(self.values.shape)


class PlanarBlock:
    """Rows of bfloat16, even columns apart from odd ones, so that no number is moved alone.

    Shape: values and product (2, rows, columns / 2).
    """

    raw: memoryview
    values: Values
    product: Matrix | Planes

    def __init__(self, shape: tuple[int, int], memory: Memory) -> None:
        rows, width = shape
        raw, values, spare = (
            memory.take(use, rows * width * size)
            for use, size in (("raw", 2), ("values", 4), ("spare", 4))
        )
        self.raw, self._stored = raw.data, raw.view(np.uint32)
        self.values = values.view(np.float32).reshape(2, rows, width // 2)
        self.product = spare.view(np.float32).reshape(2, rows, width // 2)
        self._bits = values.view(np.uint32).reshape(2, -1)
        self._spare = spare.view(np.uint32).reshape(2, -1)

    def load(self, result: Bytes) -> None:
        """Make values of `raw`; `result` is not needed."""
        widen_planes(self._stored, self._bits)

    def reload(self, result: Bytes) -> None:
        """Make values of the result."""
        widen_planes(result.view(np.uint32), self._bits)

    def narrow(self, result: Bytes) -> None:
        """Round the values into the result; they hold anything then."""
        narrow_planes(self._bits, result.view(np.uint32), self._spare)
