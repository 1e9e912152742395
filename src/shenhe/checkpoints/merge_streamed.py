"""Writing a merge tensor by tensor: one is written while the next is read and merged."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

from shenhe.checkpoints.companions import CONFIG, INDEX, write_json
from shenhe.checkpoints.gate import AdmittedAdapter, PeftAdapter
from shenhe.checkpoints.lora import add_lora, as_peft_loads
from shenhe.checkpoints.merge_plan import MergePlan, dtype_of_result
from shenhe.checkpoints.shards import ShardWriter
from shenhe.checkpoints.tensors import Scratch, TensorSpec
from shenhe.errors import AdapterError

LORA_A, LORA_B = "lora_A.weight", "lora_B.weight"


def write_merged(plan: MergePlan, folder: Path, on_bytes: Callable[[int, int], None]) -> None:
    """Write the weights, then the configuration, without which nothing can be loaded.

    `on_bytes` is called with the bytes written so far, and all of them.
    Raises: AdapterError if a result is not finite; CheckpointError; OSError.
    """
    merger = _TensorMerger(plan)
    total, done = plan.nbytes, 0
    for file_name, shard in plan.shards.items():
        with ThreadPoolExecutor(1) as pool, ShardWriter(folder / file_name, shard) as writer:
            pending: Future[None] | None = None
            for tensor in shard:
                write = merger.prepare(writer, tensor)
                if pending:
                    pending.result()
                pending = pool.submit(write)
                done += tensor.nbytes
                on_bytes(done, total)
            if pending:
                pending.result()
    if len(plan.shards) > 1:
        weight_map = {tensor.name: name for name, shard in plan.shards.items() for tensor in shard}
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    write_json(folder / CONFIG, plan.config)


class _TensorMerger:
    """Computes the tensors of a plan, one at a time."""

    def __init__(self, plan: MergePlan) -> None:
        self._plan = plan
        self._scratch = [Scratch(), Scratch()]
        self._waiting: dict[str, torch.Tensor] = {}
        """Merged tensors of a module whose turn to be written has not come."""

    def prepare(self, writer: ShardWriter, planned: TensorSpec) -> Callable[[], None]:
        """Compute a tensor, and return the call that writes it."""
        name, source = planned.name, self._plan.sources[planned.name]
        module = name.rpartition(".")[0]
        if any(module in adapter.contents.modules for adapter in self._plan.adapters):
            if name not in self._waiting:
                self._waiting |= self._merge(module)
            return partial(writer.write, self._waiting.pop(name))
        if name in self._plan.replaced:
            return partial(writer.write, self._read(name, len(self._plan.adapters)))
        if source.dtype == planned.dtype:
            return partial(writer.copy, source)
        return partial(writer.write, source.read().to(planned.dtype))

    def _merge(self, module: str) -> dict[str, torch.Tensor]:
        """Merge all adapters into a module, in order; return its tensors by name."""
        sources = self._plan.sources
        names = [n for part in ("weight", "bias") if (n := f"{module}.{part}") in sources]
        # Tensors that wait to be written must not lie in memory that is used again.
        scratch = self._scratch[0] if len(names) == 1 else None
        self._scratch.reverse()  # the other one is still being written from
        tensors = {name: self._read(name, 0, scratch) for name in names}
        if self._plan.add_up:  # summed in float32, and rounded once
            tensors = {name: tensor.float() for name, tensor in tensors.items()}
        for number, adapter in enumerate(self._plan.adapters, 1):
            for name in names:
                if name in adapter.contents.replaced:
                    tensors[name] = self._read(name, number)
            if module in adapter.contents.modules:
                tensors = _merge_module(module, tensors, adapter)
        return {
            name: tensor.to(dtype_of_result(sources[name], self._plan.dtype))
            for name, tensor in tensors.items()
        }

    def _read(self, name: str, count: int, scratch: Scratch | None = None) -> torch.Tensor:
        """Read a tensor of the base, or the last of the first `count` adapters that hold it."""
        source = self._plan.sources[name]
        dtype = dtype_of_result(source, self._plan.dtype)
        for adapter in self._plan.adapters[:count]:
            source = adapter.contents.replaced.get(name, source)
        return source.read(scratch).to(dtype)


def _merge_module(
    module: str, tensors: dict[str, torch.Tensor], adapter: AdmittedAdapter
) -> dict[str, torch.Tensor]:
    """Merge one adapter into a module: plain LoRA on a matrix directly, other kinds by PEFT."""
    parts, weight = adapter.contents.modules[module], tensors[f"{module}.weight"]
    if adapter.settings.plain and parts.keys() == {LORA_A, LORA_B} and weight.ndim == 2:
        lora_a, lora_b = (as_peft_loads(parts[part].read()) for part in (LORA_A, LORA_B))
        try:
            add_lora(weight, lora_a, lora_b, adapter.settings.scaling(module))
        except ArithmeticError as error:
            raise AdapterError(
                f"{adapter.files.folder}: merged, {module} holds NaN or infinity: the"
                " adapter's training went wrong, or the base is damaged (shenhe verify)"
            ) from error
        return tensors
    from shenhe.checkpoints.merge_by_peft import merge_by_peft  # slow to import, seldom needed

    assert isinstance(adapter, PeftAdapter)  # the gate asks PEFT about all but plain LoRA
    return merge_by_peft(module, tensors, adapter)
