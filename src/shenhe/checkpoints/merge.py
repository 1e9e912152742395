"""Merging adapters into a base, module by module: never more than a few tensors in memory.

LoRA on matrices, nearly all there is, is added here; every other kind is merged by PEFT itself, in
a model that holds nothing but one module. Both ways the result is PEFT's own to the bit.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout

from shenhe.checkpoints.companions import (
    CONFIG,
    INDEX,
    NEEDED,
    copy_companions,
    write_json,
    write_provenance,
)
from shenhe.checkpoints.gate import AdmittedAdapter, admit_adapters, refuse_quantised
from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint
from shenhe.checkpoints.shards import ShardWriter, plan_shards
from shenhe.checkpoints.tensors import Scratch, StoredTensor, TensorSpec, read_tables
from shenhe.errors import AdapterError, CheckpointError, UsageError

Combine = Literal["order", "sum"]
HEAD, EMBEDDING = "lm_head", "model.language_model.embed_tokens"
SPARE_BYTES = 64 << 20
LORA = {"lora_A.weight", "lora_B.weight"}
BLOCK = 1 << 18
"""Values merged at a time: what is between stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did; `base_missing` are files that the base itself lacks."""

    folder: Path
    nbytes: int
    merged: int
    replaced: int
    base_missing: tuple[str, ...]


def merge_adapters(
    model: str,
    adapters: Sequence[str],
    output: Path,
    *,
    dtype: str = "auto",
    combine: Combine = "order",
    max_shard_bytes: int = 5_000_000_000,
    overwrite: bool = False,
    on_bytes: Callable[[int, int], None] = lambda done, total: None,
) -> MergeReport:
    """Merge adapters and write a checkpoint; the base stays as it is.

    In order is right where each adapter was trained on the merged result of those before it; the
    sum where all were trained on the same base, which is what a warning tells of. Everything is
    written beside its place and moved there at the end: a merge that was stopped leaves nothing
    that looks like a checkpoint. `on_bytes` is told of progress.
    Raises: CheckpointError, AdapterError, UsageError.
    """
    base = find_checkpoint(model)
    refuse_quantised(base)
    files = [find_adapter(name) for name in adapters]
    if not files:
        raise UsageError("--adapters: name at least one")
    if output.exists() and not overwrite:
        raise UsageError(f"--output-dir {output}: exists; use another, or --overwrite")
    if output.exists() and any(output.samefile(f.folder) for f in (base, *files)):
        raise UsageError(f"--output-dir {output}: is the base or an adapter")
    admitted = admit_adapters(base, files)
    for told in (told for adapter in admitted for told in adapter.warnings):
        warnings.warn(told, stacklevel=2)
    work = _choose(base, admitted, _dtype(dtype), combine)
    unfinished = output.with_name(f".{output.name}.partial")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        lock = output.with_name(f".{output.name}.lock")
        # A lock that cannot be made looks like one that another process holds.
        tempfile.TemporaryFile(dir=output.parent).close()
        with FileLock(lock, timeout=0):
            shutil.rmtree(unfinished, ignore_errors=True)  # of a merge that was killed
            free = shutil.disk_usage(output.parent).free
            if free < work.nbytes + SPARE_BYTES:
                raise CheckpointError(
                    f"{output}: needs {work.nbytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
                )
            unfinished.mkdir()
            try:
                copy_companions(base, unfinished)
                write_provenance(unfinished, base, files, combine, dtype)
                work.write(unfinished, max_shard_bytes, on_bytes)
                _move(unfinished, output)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
                lock.unlink(missing_ok=True)
    except Timeout as error:
        raise CheckpointError(f"{output}: another merge writes to it; wait for it") from error
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written: {error.strerror}") from error
    lacking = tuple(name for name in NEEDED if not (base.folder / name).exists())
    return MergeReport(output, work.nbytes, work.merged, len(work.replaced), lacking)


def _move(unfinished: Path, output: Path) -> None:
    """Put a whole checkpoint in its place; one that was there goes only when the new one is."""
    if not output.exists():
        unfinished.replace(output)
        return
    old = output.with_name(f".{output.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    output.replace(old)
    unfinished.replace(output)
    shutil.rmtree(old)


def _choose(
    base: CheckpointFiles,
    adapters: Sequence[AdmittedAdapter],
    dtype: torch.dtype | None,
    combine: Combine,
) -> _Streamed | _Whole:
    """Merge tensor by tensor, or the whole model at once where an adapter's kind needs it."""
    stored = read_tables(base.weights).keys() | {f"{HEAD}.weight"}
    for adapter in adapters:
        kind = adapter.kind
        touched = {f"{name}.weight" for name in adapter.contents.modules}
        if (touched | adapter.contents.replaced.keys()) - stored:
            kind = "a base that names its tensors otherwise than its model"
        if kind != "LoRA":
            if combine == "sum":
                raise AdapterError(
                    f"{adapter.files.folder}: {kind} has no sum with another adapter"
                )
            warnings.warn(
                f"{adapter.files.folder}: {kind} cannot be merged tensor by tensor: PEFT merges the"
                " whole model in memory",
                stacklevel=3,
            )
            return _Whole(base, adapters, dtype)
    return _Streamed(base, adapters, dtype, combine)


class _Whole:
    """One base and adapters that PEFT merges in memory."""

    replaced: frozenset[str] = frozenset()

    def __init__(
        self,
        base: CheckpointFiles,
        adapters: Sequence[AdmittedAdapter],
        dtype: torch.dtype | None,
    ) -> None:
        self.base, self.adapters, self.dtype = base, adapters, dtype
        # Only how much room it takes is known before: which modules, PEFT alone knows.
        self.nbytes = sum(
            math.prod(stored.shape) * (dtype or stored.dtype).itemsize
            for stored in read_tables(base.weights).values()
        )
        self.merged = len(adapters)

    def write(
        self, folder: Path, max_shard_bytes: int, on_bytes: Callable[[int, int], None]
    ) -> None:
        """Write weights and configuration."""
        from shenhe.checkpoints.merge_whole import merge_whole

        merge_whole(self.base, self.adapters, self.dtype, folder, max_shard_bytes)
        on_bytes(self.nbytes, self.nbytes)


class _Streamed:
    """One base, its adapters, and the tensors that come of them, one at a time."""

    def __init__(
        self,
        base: CheckpointFiles,
        adapters: Sequence[AdmittedAdapter],
        dtype: torch.dtype | None,
        combine: Combine,
    ) -> None:
        self.base, self.dtype = base, dtype
        self.stored = read_tables(base.weights)
        # A tied head has no tensor of its own; an adapter may be about it all the same.
        self.tied = HEAD + ".weight" not in self.stored
        self.adapters = adapters
        contents = [adapter.contents for adapter in adapters]
        self.touched = {f"{name}.weight" for one in contents for name in one.modules}
        self.replaced = {name for one in contents for name in one.replaced}
        self.untied = self.tied and bool(
            {f"{HEAD}.weight", f"{EMBEDDING}.weight"} & (self.touched | self.replaced)
        )
        if self.untied:
            self.stored[HEAD + ".weight"] = self.stored[EMBEDDING + ".weight"]
        self.planned = [
            TensorSpec(name, self._dtype_of(stored), stored.shape)
            for name, stored in self.stored.items()
        ]
        self.nbytes = sum(tensor.nbytes for tensor in self.planned)
        self.merged = len(self.touched)
        self.combine, self.scratch = combine, [Scratch(), Scratch()]
        self._check_combination()

    def write(
        self, folder: Path, max_shard_bytes: int, on_bytes: Callable[[int, int], None]
    ) -> None:
        """Write the weights, then the configuration: without it nothing can be loaded."""
        shards = plan_shards(self.planned, max_shard_bytes)
        total, done = self.nbytes, 0
        waiting: dict[str, torch.Tensor] = {}
        for name, shard in shards.items():
            # One tensor is written while the next is read and merged.
            with ThreadPoolExecutor(1) as pool, ShardWriter(folder / name, shard) as writer:
                writing: Future[None] | None = None
                for tensor in shard:
                    write = self._prepared(writer, tensor, waiting)
                    if writing:
                        writing.result()
                    writing = pool.submit(write)
                    done += tensor.nbytes
                    on_bytes(done, total)
                if writing:
                    writing.result()
        if len(shards) > 1:
            weight_map = {tensor.name: name for name, shard in shards.items() for tensor in shard}
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            write_json(folder / INDEX, index)
        write_json(folder / CONFIG, self._config())

    def _prepared(
        self, writer: ShardWriter, planned: TensorSpec, waiting: dict[str, torch.Tensor]
    ) -> Callable[[], None]:
        """Make a tensor ready to be written; what else its module gave waits for its turn."""
        name, stored = planned.name, self.stored[planned.name]
        module = name.rpartition(".")[0]
        if any(module in one.contents.modules for one in self.adapters):
            if name not in waiting:
                waiting |= self._merged(module)
            return partial(writer.write, waiting.pop(name))
        if name in self.replaced:
            return partial(writer.write, self._before(name, len(self.adapters)))
        if stored.dtype == planned.dtype:
            return partial(writer.copy, stored)
        return partial(writer.write, stored.read().to(planned.dtype))

    def _merged(self, module: str) -> dict[str, torch.Tensor]:
        """Merge a module's adapters in order, and give its tensors by name."""
        names = [n for part in ("weight", "bias") if (n := f"{module}.{part}") in self.stored]
        # A module of several tensors has some that wait, and so none in memory used again.
        scratch = self.scratch[0] if len(names) == 1 else None
        self.scratch.reverse()  # the other one is still being written from
        tensors = {name: self._before(name, 0, scratch) for name in names}
        if self.combine == "sum":  # added up in float32, and rounded once
            tensors = {name: tensor.float() for name, tensor in tensors.items()}
        for number, one in enumerate(self.adapters, 1):
            for name in names:
                if name in one.contents.replaced:
                    tensors[name] = self._before(name, number)
            if module in one.contents.modules:
                tensors = _merge_module(module, tensors, one)
        return {
            name: tensor.to(self._dtype_of(self.stored[name])) for name, tensor in tensors.items()
        }

    def _before(self, name: str, adapters: int, scratch: Scratch | None = None) -> torch.Tensor:
        """Read a tensor as the first so many adapters have it, where they hold it whole."""
        found = self.stored[name]
        for one in self.adapters[:adapters]:
            found = one.contents.replaced.get(name, found)
        return found.read(scratch).to(self._dtype_of(self.stored[name]))

    def _check_combination(self) -> None:
        if self.combine == "sum":
            for one in self.adapters:
                if one.settings.dora or one.contents.replaced:
                    raise AdapterError(
                        f"{one.files.folder}: DoRA and weights held whole have no sum with another"
                        " adapter; merge in order"
                    )
            return
        recorded = [one.settings.base for one in self.adapters]
        same = {name for name in recorded if name and recorded.count(name) > 1}
        if same:
            warnings.warn(
                f"adapters record the same base, {same.pop()}: merging one after the other is right"
                " only if each was trained on the merged result of those before; else"
                " --combine sum",
                stacklevel=5,
            )

    def _dtype_of(self, stored: StoredTensor) -> torch.dtype:
        if self.dtype is None or not stored.dtype.is_floating_point:
            return stored.dtype
        return self.dtype

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self.base.folder / CONFIG).read_text(encoding="utf-8"))
        parts = [
            config,
            *(config[key] for key in ("text_config", "vision_config") if key in config),
        ]
        for part in parts:
            if self.untied and "tie_word_embeddings" in part:
                part["tie_word_embeddings"] = False
            for key in ("dtype", "torch_dtype"):
                if self.dtype is not None and key in part:
                    part[key] = str(self.dtype).removeprefix("torch.")
        if self.untied:
            config["tie_word_embeddings"] = False
        return config


def _merge_module(
    name: str, tensors: dict[str, torch.Tensor], adapter: AdmittedAdapter
) -> dict[str, torch.Tensor]:
    """Merge one module: LoRA on a matrix here, every other kind by PEFT."""
    parts, weight = adapter.contents.modules[name], tensors[f"{name}.weight"]
    if adapter.settings.plain and parts.keys() == LORA and weight.ndim == 2:
        inner, outer = (_as_peft_loads(parts[part].read()) for part in sorted(LORA))
        try:
            _add_lora(weight, inner, outer, adapter.settings.scaling(name))
        except ArithmeticError as error:
            raise AdapterError(
                f"{adapter.files.folder}: merged, {name} holds NaN or infinity: the"
                " adapter's training went wrong, or the base is damaged (shenhe verify)"
            ) from error
        return tensors
    from shenhe.checkpoints.merge_by_peft import merge_by_peft  # slow to import, seldom needed

    return merge_by_peft(name, tensors, adapter)


def _add_lora(
    weight: torch.Tensor, inner: torch.Tensor, outer: torch.Tensor, scaling: float
) -> None:
    """Add LoRA to a matrix in place, some rows at a time, through memory that stays in the cache.

    Row by row these are PEFT's own operations, and so its own bits.
    Shape: weight (out, in), inner (rank, in), outer (out, rank).
    Raises: ArithmeticError where the result is not finite.
    """
    rows = max(1, BLOCK // weight.shape[1])
    product = torch.empty(min(rows, len(weight)), weight.shape[1], dtype=outer.dtype)
    for top in range(0, len(weight), rows):
        piece = weight[top : top + rows]
        added = product[: len(piece)]
        torch.mm(outer[top : top + rows], inner, out=added)
        piece += added.mul_(scaling)
        if not math.isfinite(piece.sum(dtype=torch.float32)):
            raise ArithmeticError


def _as_peft_loads(weight: torch.Tensor) -> torch.Tensor:
    """PEFT keeps the weights of adapters in float32, whatever they were saved in."""
    return weight.float()


def _dtype(name: str) -> torch.dtype | None:
    if name not in ("auto", "bfloat16", "float16", "float32"):
        raise UsageError(f"--dtype {name}: use auto, bfloat16, float16 or float32")
    return None if name == "auto" else getattr(torch, name)
