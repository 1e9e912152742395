"""Merging adapters into a base, module by module: never more than a few tensors in memory.

Each module is merged by PEFT itself, in a model that holds nothing but that module: what comes out
is PEFT's own result to the bit, for every kind of LoRA that PEFT knows.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from peft import LoraConfig, PeftModel
from peft.utils import set_peft_model_state_dict
from torch import nn

from shenhe.checkpoints.adapter import PREFIX, AdapterContents, read_adapter
from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.tensors import (
    PlannedTensor,
    ShardWriter,
    StoredTensor,
    plan_shards,
    read_table,
)
from shenhe.errors import AdapterError, CheckpointError, UsageError
from shenhe.records import SCHEMA, utc_now

Combine = Literal["order", "sum"]
INDEX = "model.safetensors.index.json"
PROVENANCE = "shenhe_merge.json"
HEAD, EMBEDDING = "lm_head", "model.language_model.embed_tokens"
COMPANIONS = ("*.json", "*.jinja", "*.txt", "*.model")
"""What of a base goes along beside its weights."""
NEEDED = (
    *("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("chat_template.jinja", "preprocessor_config.json", "video_preprocessor_config.json"),
)
"""What servers and trainers look for; a base that lacks some of it is told of."""
SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What a merge did; `lacking` are files that the base itself lacks."""

    folder: Path
    nbytes: int
    merged: int
    replaced: int
    lacking: tuple[str, ...]


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
    files = [find_adapter(name) for name in adapters]
    if not files:
        raise UsageError("--adapters: name at least one")
    if output.exists() and not overwrite:
        raise UsageError(f"--output-dir {output}: exists; use another, or --overwrite")
    if output.exists() and any(output.samefile(f.folder) for f in (base, *files)):
        raise UsageError(f"--output-dir {output}: is the base or an adapter")
    work = _Merge(base, files, dtype, combine)
    nbytes = sum(tensor.nbytes for tensor in work.planned)
    partial = output.with_name(f".{output.name}.partial")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(output.with_name(f".{output.name}.lock"), timeout=0):
            shutil.rmtree(partial, ignore_errors=True)  # of a merge that was killed
            free = shutil.disk_usage(output.parent).free
            if free < nbytes + SPARE_BYTES:
                raise CheckpointError(
                    f"{output}: needs {nbytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
                )
            partial.mkdir()
            try:
                work.write(partial, max_shard_bytes, on_bytes)
                _move(partial, output)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    except Timeout as error:
        raise CheckpointError(f"{output}: another merge writes to it; wait for it") from error
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written: {error.strerror}") from error
    output.with_name(f".{output.name}.lock").unlink(missing_ok=True)
    lacking = tuple(name for name in NEEDED if not (base.folder / name).exists())
    return MergeReport(output, nbytes, len(work.touched), len(work.replaced), lacking)


def _move(partial: Path, output: Path) -> None:
    """Put a whole checkpoint in its place; one that was there goes only when the new one is."""
    if not output.exists():
        partial.replace(output)
        return
    old = output.with_name(f".{output.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    output.replace(old)
    partial.replace(output)
    shutil.rmtree(old)


class _Merge:
    """One base, its adapters, and the tensors that come of them."""

    def __init__(
        self,
        base: CheckpointFiles,
        adapters: Sequence[CheckpointFiles],
        dtype: str,
        combine: Combine,
    ) -> None:
        self.base, self.adapter_files = base, adapters
        self.stored: dict[str, StoredTensor] = {}
        for path in base.weights:
            self.stored |= read_table(path)
        self.dtype = _dtype(dtype)
        # A tied head has no tensor of its own; an adapter may be about it all the same.
        self.tied = HEAD + ".weight" not in self.stored
        names = self.stored.keys() | ({HEAD + ".weight"} if self.tied else set())
        self.adapters = [read_adapter(files, names) for files in adapters]
        self.touched = {f"{name}.weight" for one in self.adapters for name in one.modules}
        self.replaced = {name for one in self.adapters for name in one.replaced}
        self.untied = self.tied and bool(
            {f"{HEAD}.weight", f"{EMBEDDING}.weight"} & (self.touched | self.replaced)
        )
        if self.untied:
            self.stored[HEAD + ".weight"] = self.stored[EMBEDDING + ".weight"]
        self.planned = [
            PlannedTensor(name, self._dtype_of(stored), stored.shape)
            for name, stored in self.stored.items()
        ]
        self._check_shapes()
        self.combine = combine
        self._check_combination()

    def write(
        self, folder: Path, max_shard_bytes: int, on_bytes: Callable[[int, int], None]
    ) -> None:
        """Write everything, the configuration last: without it nothing can be loaded."""
        shards = plan_shards(self.planned, max_shard_bytes)
        total, done = sum(tensor.nbytes for tensor in self.planned), 0
        waiting: dict[str, torch.Tensor] = {}
        for name, shard in shards.items():
            with ShardWriter(folder / name, shard) as writer:
                for tensor in shard:
                    self._write_tensor(writer, tensor, waiting)
                    done += tensor.nbytes
                    on_bytes(done, total)
        if len(shards) > 1:
            weight_map = {tensor.name: name for name, shard in shards.items() for tensor in shard}
            index = {"metadata": {"total_size": total}, "weight_map": weight_map}
            _write_json(folder / INDEX, index)
        self._copy_companions(folder)
        _write_json(folder / PROVENANCE, self._provenance())
        _write_json(folder / "config.json", self._config())

    def _write_tensor(
        self, writer: ShardWriter, planned: PlannedTensor, waiting: dict[str, torch.Tensor]
    ) -> None:
        """Write one tensor; what else its module gave waits for its turn."""
        name, stored = planned.name, self.stored[planned.name]
        module = name.rpartition(".")[0]
        if any(module in one.modules for one in self.adapters):
            if name not in waiting:
                waiting |= self._merged(module)
            writer.write(waiting.pop(name))
        elif name in self.replaced:
            writer.write(self._before(name, len(self.adapters)))
        elif stored.dtype == planned.dtype:
            writer.copy(stored)
        else:
            writer.write(stored.read().to(planned.dtype))

    def _merged(self, module: str) -> dict[str, torch.Tensor]:
        """Merge a module's adapters in order, and give its tensors by name."""
        names = [n for part in ("weight", "bias") if (n := f"{module}.{part}") in self.stored]
        tensors = {name: self._before(name, 0) for name in names}
        if self.combine == "sum":  # added up in float32, and rounded once
            tensors = {name: tensor.float() for name, tensor in tensors.items()}
        for number, one in enumerate(self.adapters, 1):
            for name in names:
                if name in one.replaced:
                    tensors[name] = self._before(name, number)
            if module in one.modules:
                tensors = _merge_module(module, tensors, one)
        return {
            name: tensor.to(self._dtype_of(self.stored[name])) for name, tensor in tensors.items()
        }

    def _before(self, name: str, adapters: int) -> torch.Tensor:
        """Read a tensor as the first so many adapters have it, where they hold it whole."""
        found = self.stored[name]
        for one in self.adapters[:adapters]:
            found = one.replaced.get(name, found)
        return found.read().to(self._dtype_of(self.stored[name]))

    def _check_combination(self) -> None:
        if self.combine == "sum":
            for one in self.adapters:
                if one.config.use_dora or one.replaced:
                    raise AdapterError(
                        f"{one.folder}: DoRA and weights held whole have no sum with another"
                        " adapter; merge in order"
                    )
            return
        recorded = [one.config.base_model_name_or_path for one in self.adapters]
        same = {name for name in recorded if name and recorded.count(name) > 1}
        if same:
            warnings.warn(
                f"adapters record the same base, {same.pop()}: merging one after the other is right"
                " only if each was trained on the merged result of those before; else"
                " --combine sum",
                stacklevel=4,
            )

    def _check_shapes(self) -> None:
        """Refuse what does not fit before anything is written."""
        odd = [
            f"{name} is {list(stored.shape)}, the base's {list(self.stored[name].shape)}"
            for one in self.adapters
            for name, stored in one.replaced.items()
            if stored.shape != self.stored[name].shape
        ]
        for one in self.adapters:
            for name, module in one.modules.items():
                base = self.stored[f"{name}.weight"].shape
                inner = module.weights.get("lora_A.weight")
                outer = module.weights.get("lora_B.weight")
                if inner and outer and (outer.shape[0], inner.shape[1]) != base[:2]:
                    shape = [outer.shape[0], inner.shape[1]]
                    odd.append(f"{name} is {shape}, the base's {list(base)}")
        if odd:
            raise AdapterError(
                f"{len(odd)} weights do not fit the base: {'; '.join(odd[:5])}"
                f"{' ...' if len(odd) > 5 else ''}"
            )

    def _dtype_of(self, stored: StoredTensor) -> torch.dtype:
        if self.dtype is None or not stored.dtype.is_floating_point:
            return stored.dtype
        return self.dtype

    def _copy_companions(self, folder: Path) -> None:
        for pattern in COMPANIONS:
            for path in sorted(self.base.folder.glob(pattern)):
                if path.is_file() and path.name not in (INDEX, "config.json", PROVENANCE):
                    shutil.copyfile(path, folder / path.name)

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(
            (self.base.folder / "config.json").read_text(encoding="utf-8")
        )
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

    def _provenance(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "merged": utc_now(),
            "base": _origin(self.base),
            "adapters": [_origin(files) for files in self.adapter_files],
            "combine": self.combine,
            "dtype": str(self.dtype).removeprefix("torch.") if self.dtype else "auto",
            "versions": {name: version(name) for name in ("shenhe", "torch", "peft")},
        }


def _origin(files: CheckpointFiles) -> dict[str, str]:
    return {"path": str(files.folder.absolute()), "fingerprint": fingerprint(files)}


def _merge_module(
    name: str, tensors: dict[str, torch.Tensor], adapter: AdapterContents
) -> dict[str, torch.Tensor]:
    """Merge one module by PEFT, in a model of that module alone."""
    root = nn.Module()
    *parents, leaf = name.split(".")
    place = root
    for parent in parents:
        place.add_module(parent, nn.Module())
        place = place.get_submodule(parent)
    module = adapter.modules[name]
    parts = {full.rpartition(".")[2]: tensor for full, tensor in tensors.items()}
    place.add_module(leaf, _layer(parts, "lora_embedding_A" in module.weights))
    state = {f"{PREFIX}{name}.{part}": stored.read() for part, stored in module.weights.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tuned = PeftModel(root, _config_for(adapter.config, name))
            result = set_peft_model_state_dict(tuned, state)
            if result.unexpected_keys:
                raise AdapterError(f"{adapter.folder}: {result.unexpected_keys[0]} is not of LoRA")
            merged = tuned.merge_and_unload()
    except (RuntimeError, ValueError, KeyError) as error:
        first = " ".join(str(error).split())[:300]
        raise AdapterError(f"{adapter.folder}: {name} cannot be merged: {first}") from error
    done = merged.get_submodule(name)
    return {f"{name}.{part}": getattr(done, part).data for part in parts}


def _config_for(config: LoraConfig, name: str) -> LoraConfig:
    """Keep of a configuration what decides how one module is merged."""
    return replace(
        config,
        target_modules=[name],
        exclude_modules=None,
        modules_to_save=None,
        layers_to_transform=None,
        layers_pattern=None,
        inference_mode=True,
        init_lora_weights=True,
    )


def _layer(weights: dict[str, torch.Tensor], embedding: bool) -> nn.Module:
    """Make the layer that holds given weights, without filling others first."""
    weight = weights["weight"]
    layer: nn.Module
    with torch.device("meta"):
        if embedding:
            layer = nn.Embedding(*weight.shape)
        elif weight.ndim == 2:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in weights)
        elif weight.ndim in (4, 5):
            kind: Any = nn.Conv2d if weight.ndim == 4 else nn.Conv3d
            out, inner, *kernel = weight.shape
            layer = kind(inner, out, tuple(kernel), tuple(kernel), bias="bias" in weights)
        else:
            raise AdapterError(f"a weight of shape {list(weight.shape)} takes no LoRA")
    for part, value in weights.items():
        setattr(layer, part, nn.Parameter(value, requires_grad=False))
    return layer


def _dtype(name: str) -> torch.dtype | None:
    if name not in ("auto", "bfloat16", "float16", "float32"):
        raise UsageError(f"--dtype {name}: use auto, bfloat16, float16 or float32")
    return None if name == "auto" else getattr(torch, name)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
