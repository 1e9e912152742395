"""Where the bytes of a merged checkpoint come from: any part of any tensor, from any thread."""

from __future__ import annotations

import math
import threading
from functools import partial

from shenhe.checkpoints.merge_blocks import Bytes
from shenhe.checkpoints.merge_plan import MergePlan, dtype_of_result, module_tensors
from shenhe.checkpoints.merged_tensor import Addend, MergedTensor, Shared
from shenhe.checkpoints.shards import Source
from shenhe.checkpoints.tensors import StoredTensor
from shenhe.errors import needs

LORA_A, LORA_B = "lora_A.weight", "lora_B.weight"


def tensor_sources(plan: MergePlan) -> dict[str, Source]:
    """Say for each tensor of the result what gives its bytes."""
    sources: dict[str, Source] = {}
    shared = Shared()
    for name in plan.sources:
        sources[name] = _plain_source(plan, name, shared)
    lock = threading.Lock()  # PEFT changes the filters of warnings, which are the process's
    for module in _find_peft_modules(plan):
        merger = _ModuleByPeft(plan, module, lock)
        sources |= {name: partial(merger.fill, name) for name in merger.names}
    return sources


def _plain_source(plan: MergePlan, name: str, shared: Shared) -> Source:
    """Find what gives a tensor that is copied, converted, or changed by LoRA alone."""
    stored, dtype = plan.sources[name], dtype_of_result(plan.sources[name], plan.dtype)
    module, _, param = name.rpartition(".")
    steps: list[Addend] = []
    for adapter in plan.adapters:
        if name in adapter.contents.replaced:
            stored, steps = adapter.contents.replaced[name], []
        parts = adapter.contents.modules.get(module) if param == "weight" else None
        if parts is not None and parts.keys() == {LORA_A, LORA_B}:
            factor = adapter.settings.scaling(module)
            steps.append(Addend(adapter.files.folder, parts[LORA_A], parts[LORA_B], factor))
    if not steps and stored.dtype == dtype:
        return partial(_copy, stored)
    # A convolution's shape may be here too: what PEFT merges is taken out later.
    matrix = stored.shape if steps else (math.prod(stored.shape), 1)
    return MergedTensor(stored, dtype, matrix, module, steps, plan.add_up, shared).fill


def _copy(stored: StoredTensor, offset: int, target: memoryview) -> None:
    stored.read_into(target, offset)


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
