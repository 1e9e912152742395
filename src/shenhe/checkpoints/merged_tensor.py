"""A tensor to which adapters add LoRA: any part of it, a block of rows at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from queue import LifoQueue
from typing import Final, NamedTuple

import numpy as np

from shenhe.checkpoints.floats import is_finite
from shenhe.checkpoints.lora import (
    Matrix,
    Planes,
    add_lora,
    adds_as_torch,
    as_peft_loads,
    as_planes,
    block_rows,
)
from shenhe.checkpoints.merge_blocks import Block, Bytes, Memory, PlainBlock, PlanarBlock
from shenhe.checkpoints.shards import MAX_WORKERS
from shenhe.checkpoints.tensors import BFLOAT16, FLOAT32, Dtype, StoredTensor
from shenhe.errors import AdapterError

KEPT_FACTORS: Final = 16
"""Matrices of adapters in memory: parts of a tensor are merged one after the other."""


class Addend(NamedTuple):
    """What one adapter adds to a tensor. `folder` is where it is from."""

    folder: Path
    lora_a: StoredTensor
    lora_b: StoredTensor
    factor: float


class Shared:
    """What the tensors of a merge have in common: memory, and the matrices last read."""

    def __init__(self) -> None:
        self.read_matrix = lru_cache(KEPT_FACTORS)(as_peft_loads)
        self.read_planes = lru_cache(KEPT_FACTORS)(lambda stored: as_planes(as_peft_loads(stored)))
        self._free: LifoQueue[Memory] = LifoQueue()
        for _ in range(min(MAX_WORKERS, os.cpu_count() or 1)):
            self._free.put(Memory())

    @contextmanager
    def lend(self) -> Iterator[Memory]:
        """Give the memory that was used last, which is in a cache; wait where all is in use.

        There is one for each core: more threads would take each other's cache.
        """
        memory = self._free.get()
        try:
            yield memory
        finally:
            self._free.put(memory)


@dataclass(frozen=True, slots=True)
class MergedTensor:
    """A tensor to which adapters add LoRA, one after the other, a block of rows at a time.

    Without adapters it is converted to another dtype. `matrix` is its shape as a matrix.
    """

    stored: StoredTensor
    dtype: Dtype
    matrix: Sequence[int]
    module: str
    addends: Sequence[Addend]
    add_up: bool
    shared: Shared
    planar: bool = field(init=False)
    """Whether even and odd columns are merged apart, see `widen_planes`."""

    def __post_init__(self) -> None:
        width = self.matrix[-1]
        planar = (
            self.stored.dtype == self.dtype == BFLOAT16
            and width % 2 == 0
            and all(
                adds_as_torch(addend.lora_a.shape[0], width // 2, block_rows(width))
                for addend in self.addends
            )
        )
        object.__setattr__(self, "planar", planar)

    def fill(self, offset: int, target: memoryview) -> None:
        """Compute the bytes from an offset on.

        Raises: AdapterError if a result is not finite; CheckpointError.
        """
        rows, width = self.matrix
        line, end = width * self.dtype.itemsize, offset + len(target)
        asked = np.frombuffer(target, np.uint8)
        base_line = width * self.stored.dtype.itemsize
        factors = self._read_factors()
        blocks: dict[int, Block] = {}
        with self.shared.lend() as memory, self.stored.opened() as read, np.errstate(all="ignore"):
            for start, stop in _split_rows(
                offset // line, -(-end // line), rows, block_rows(width)
            ):
                if (count := stop - start) not in blocks:
                    blocks[count] = self._make_block(count, memory)
                block = blocks[count]
                read(block.raw, start * base_line)
                first, last = max(offset, start * line), min(end, stop * line)
                place = asked[first - offset : last - offset]
                if last - first == count * line:
                    self._merge(block, slice(start, stop), factors, place)
                else:  # what was asked for begins or ends within a row
                    result = memory.take("result", count * line)
                    self._merge(block, slice(start, stop), factors, result)
                    place[:] = result[first - start * line : last - start * line]

    def _read_factors(self) -> list[tuple[Matrix | Planes, Matrix]]:
        read_a = self.shared.read_planes if self.planar else self.shared.read_matrix
        return [
            (read_a(addend.lora_a), self.shared.read_matrix(addend.lora_b))
            for addend in self.addends
        ]

    def _make_block(self, count: int, memory: Memory) -> Block:
        shape = (count, self.matrix[1])
        if self.planar:
            return PlanarBlock(shape, memory)
        return PlainBlock(shape, (self.stored.dtype, self.dtype), self.add_up, memory)

    def _merge(
        self,
        block: Block,
        rows: slice,
        factors: Sequence[tuple[Matrix | Planes, Matrix]],
        result: Bytes,
    ) -> None:
        """Compute some rows."""
        block.load(result)
        for number, (addend, (lora_a, lora_b)) in enumerate(
            zip(self.addends, factors, strict=True)
        ):
            if number and not self.add_up:
                block.reload(result)
            add_lora(block.values, lora_a, lora_b[rows], addend.factor, block.product)
            if not self.add_up:
                block.narrow(result)
            numbers, dtype = (block.values, FLOAT32) if self.add_up else (result, self.dtype)
            if not is_finite(numbers, dtype):
                raise AdapterError(
                    f"{addend.folder}: merged, {self.module} holds NaN or infinity: the adapter's"
                    " training went wrong, or the base is damaged (shenhe verify)"
                )
        if self.add_up and self.addends:
            block.narrow(result)


def _split_rows(first: int, last: int, rows: int, count: int) -> Iterator[tuple[int, int]]:
    """Split rows into blocks of at least two, if there are two: the last ones may overlap."""
    for start in range(first, last, count):
        stop = min(start + count, last)
        if stop - start == 1:
            start, stop = (start - 1, stop) if start else (start, min(stop + 1, rows))
        yield start, stop
