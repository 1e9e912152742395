"""Where the bytes of a merged checkpoint come from: any part of any tensor, from any thread."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shenhe.checkpoints.floats import (
    Stored,
    Values,
    is_finite,
    narrow,
    narrow_any,
    widen,
    working_dtype,
)
from shenhe.checkpoints.gate import AdmittedAdapter
from shenhe.checkpoints.lora import Matrix, add_lora, as_peft_loads, block_rows
from shenhe.checkpoints.merge_plan import MergePlan, dtype_of_result, module_tensors
from shenhe.checkpoints.shards import Source
from shenhe.checkpoints.tensors import FLOAT32, Dtype, StoredTensor
from shenhe.errors import AdapterError, needs

LORA_A, LORA_B = "lora_A.weight", "lora_B.weight"
KEPT_FACTORS: Final = 16
"""Matrices of adapters in memory: parts of a tensor are merged one after the other."""
Bytes = NDArray[np.uint8]


def tensor_sources(plan: MergePlan) -> dict[str, Source]:
    """Say for each tensor of the result what gives its bytes."""
    sources: dict[str, Source] = {}
    threads = _Threads()
    read_factor = lru_cache(KEPT_FACTORS)(as_peft_loads)
    for name in plan.sources:
        sources[name] = _plain_source(plan, name, threads, read_factor)
    lock = threading.Lock()  # PEFT changes the filters of warnings, which are the process's
    for module in _find_peft_modules(plan):
        merger = _ModuleByPeft(plan, module, lock)
        sources |= {name: partial(merger.fill, name) for name in merger.names}
    return sources


def _plain_source(
    plan: MergePlan, name: str, threads: _Threads, read_factor: Callable[[StoredTensor], Matrix]
) -> Source:
    """Find what gives a tensor that is copied, converted, or changed by LoRA alone."""
    stored, dtype = plan.sources[name], dtype_of_result(plan.sources[name], plan.dtype)
    module, _, param = name.rpartition(".")
    steps: list[AdmittedAdapter] = []
    for adapter in plan.adapters:
        if name in adapter.contents.replaced:
            stored, steps = adapter.contents.replaced[name], []
        if param == "weight" and module in adapter.contents.modules:
            steps.append(adapter)
    if not steps and stored.dtype == dtype:
        return partial(_copy, stored)
    # A convolution's shape may be here too: what PEFT merges is taken out later.
    matrix = stored.shape if steps else (math.prod(stored.shape), 1)
    merged = _MergedTensor(stored, dtype, matrix, module, steps, plan.add_up, threads, read_factor)
    return merged.fill


def _copy(stored: StoredTensor, offset: int, target: memoryview) -> None:
    stored.read_into(target, offset)


class _Threads(threading.local):
    """Memory of each thread for reuse: fresh pages cost more than the computation in them."""

    def __init__(self) -> None:
        self._kept: dict[str, Bytes] = {}

    def take(self, use: str, nbytes: int) -> Bytes:
        """Return memory with arbitrary content."""
        if len(self._kept.get(use, ())) < nbytes:
            self._kept[use] = np.empty(nbytes, np.uint8)
        return self._kept[use][:nbytes]


@dataclass(frozen=True, slots=True)
class _MergedTensor:
    """A tensor to which adapters add LoRA, one after the other, a block of rows at a time.

    Without adapters it is converted to another dtype. `matrix` is its shape as a matrix.
    """

    stored: StoredTensor
    dtype: Dtype
    matrix: Sequence[int]
    module: str
    adapters: Sequence[AdmittedAdapter]
    add_up: bool
    threads: _Threads
    read_factor: Callable[[StoredTensor], Matrix]

    def fill(self, offset: int, target: memoryview) -> None:
        """Compute the bytes from an offset on.

        Raises: AdapterError if a result is not finite; CheckpointError.
        """
        rows, width = self.matrix
        line, end = width * self.dtype.itemsize, offset + len(target)
        asked = np.frombuffer(target, np.uint8)
        for start, stop in _split_rows(offset // line, -(-end // line), rows, block_rows(width)):
            first, last = max(offset, start * line), min(end, stop * line)
            place = asked[first - offset : last - offset]
            if last - first == (stop - start) * line:
                self._merge(start, stop, place)
            else:  # what was asked for begins or ends within a row
                block = self.threads.take("block", (stop - start) * line)
                self._merge(start, stop, block)
                place[:] = block[first - start * line : last - start * line]

    def _merge(self, start: int, stop: int, result: Bytes) -> None:
        """Compute some rows."""
        shape = (stop - start, self.matrix[1])
        count = math.prod(shape)
        kind = "<f4" if self.add_up else working_dtype(self.dtype)
        values, spare = (
            self.threads.take(use, count * np.dtype(kind).itemsize).view(kind).reshape(shape)
            for use in ("values", "spare")
        )
        merged = result.view(self.dtype.storage).reshape(shape)
        size = self.stored.dtype.itemsize
        raw = self.threads.take("raw", count * size)
        self.stored.read_into(raw.data, start * shape[1] * size)
        widen(raw.view(self.stored.dtype.storage).reshape(shape), self.stored.dtype, values)
        if self.stored.dtype != self.dtype:
            narrow_any(values, self.dtype, merged, spare)
            if self.adapters:
                widen(merged, self.dtype, values)
        for number, adapter in enumerate(self.adapters):
            if number and not self.add_up:
                widen(merged, self.dtype, values)
            self._add(adapter, slice(start, stop), values, spare)
            if not self.add_up:
                narrow(values, self.dtype, merged, spare)
            self._refuse_damage(adapter, merged, values, spare)
        if self.add_up and self.adapters:
            narrow(values, self.dtype, merged, spare)

    def _add(self, adapter: AdmittedAdapter, rows: slice, values: Values, spare: Values) -> None:
        parts = adapter.contents.modules[self.module]
        lora_a, lora_b = (self.read_factor(parts[part]) for part in (LORA_A, LORA_B))
        buffer = spare.reshape(-1).view(np.float32)[: values.size].reshape(values.shape)
        add_lora(values, lora_a, lora_b[rows], adapter.settings.scaling(self.module), buffer)

    def _refuse_damage(
        self, adapter: AdmittedAdapter, merged: Stored, values: Values, spare: Values
    ) -> None:
        numbers, dtype = (values, FLOAT32) if self.add_up else (merged, self.dtype)
        if is_finite(numbers, dtype, spare):
            return
        raise AdapterError(
            f"{adapter.files.folder}: merged, {self.module} holds NaN or infinity: the adapter's"
            " training went wrong, or the base is damaged (shenhe verify)"
        )


def _split_rows(first: int, last: int, rows: int, count: int) -> Iterator[tuple[int, int]]:
    """Split rows into blocks of at least two, if there are two: the last ones may overlap."""
    for start in range(first, last, count):
        stop = min(start + count, last)
        if stop - start == 1:
            start, stop = (start - 1, stop) if start else (start, min(stop + 1, rows))
        yield start, stop


class _ModuleByPeft:
    """A module that PEFT merges, as a whole; kept until all its bytes are written."""

    def __init__(self, plan: MergePlan, module: str, lock: threading.Lock) -> None:
        self._plan, self._module, self._lock = plan, module, lock
        specs = module_tensors(plan, module)
        self.names = frozenset(tensor.name for tensor in specs)
        self._remaining = sum(tensor.nbytes for tensor in specs)
        self._merged: dict[str, Bytes] = {}

    def fill(self, name: str, offset: int, target: memoryview) -> None:
        """Give bytes of one of the module's tensors.

        Raises: AdapterError, CheckpointError; UsageError where PEFT is not installed.
        """
        with needs("local"):
            from shenhe.checkpoints.merge_by_peft import merge_module  # imports PEFT and torch

        with self._lock:
            if not self._merged:
                self._merged = merge_module(self._plan, self._module)
            target[:] = self._merged[name].data[offset : offset + len(target)]
            self._remaining -= len(target)
            if not self._remaining:
                self._merged = {}


def _find_peft_modules(plan: MergePlan) -> set[str]:
    """Find the modules to which an adapter does more than to add a product to a matrix."""
    return {
        module
        for adapter in plan.adapters
        for module, parts in adapter.contents.modules.items()
        if not adapter.settings.plain
        or parts.keys() != {LORA_A, LORA_B}
        or len(plan.sources[f"{module}.weight"].shape) != 2
    }
