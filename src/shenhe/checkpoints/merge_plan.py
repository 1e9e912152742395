"""The plan of a merge: all it will write, and every refusal, before a byte is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shenhe.checkpoints.companions import CONFIG
from shenhe.checkpoints.gate import AdmittedAdapter
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.shards import plan_shards
from shenhe.checkpoints.tensors import Dtype, StoredTensor, TensorSpec, read_tables
from shenhe.errors import AdapterError, spelled

LM_HEAD, EMBEDDING = "lm_head.weight", "model.language_model.embed_tokens.weight"


@dataclass(frozen=True, slots=True)
class MergePlan:
    """One base, its adapters, and the checkpoint they make.

    `sources` maps each tensor of the result to the base's tensor it is made of, `shards` the file
    names to their tensors in order, `replaced` names tensors that an adapter holds whole.
    `in_memory` marks adapters that PEFT has to merge in a model in memory: only the size of that
    result is known in advance. `warnings` are for the user.
    """

    base: CheckpointFiles
    adapters: tuple[AdmittedAdapter, ...]
    dtype: Dtype | None
    add_up: bool
    sources: Mapping[str, StoredTensor]
    shards: Mapping[str, Sequence[TensorSpec]]
    replaced: frozenset[str]
    config: Mapping[str, object]
    warnings: tuple[str, ...]
    in_memory: bool

    @property
    def nbytes(self) -> int:
        """Size of the weights that will be written."""
        return sum(tensor.nbytes for shard in self.shards.values() for tensor in shard)

    @property
    def merged_count(self) -> int:
        """Number of modules that are merged; of adapters, where PEFT merges them in memory."""
        if self.in_memory:
            return len(self.adapters)
        return len({name for adapter in self.adapters for name in adapter.contents.modules})


def plan_merge(
    base: CheckpointFiles,
    adapters: Sequence[AdmittedAdapter],
    *,
    dtype: Dtype | None,
    add_up: bool,
    max_shard_bytes: int,
) -> MergePlan:
    """Plan a merge, in the base's dtype unless another is given.

    With `add_up` the adapters' changes are summed in float32 and rounded once; otherwise each is
    merged into the result of those before it.
    Raises: AdapterError if an adapter cannot be merged in this way.
    """
    stored = read_tables(base.weights)
    warnings = _check_kinds(adapters, stored, add_up=add_up)
    replaced: set[str] = set()
    untied = False
    if not (in_memory := bool(warnings)):
        warnings = _check_combination(adapters, add_up=add_up)
        replaced = {name for adapter in adapters for name in adapter.contents.replaced}
        untied = _unties_head(adapters, stored)
    if untied:
        stored[LM_HEAD] = stored[EMBEDDING]
    planned = [
        TensorSpec(name, dtype_of_result(source, dtype), source.shape)
        for name, source in stored.items()
    ]
    return MergePlan(
        base,
        tuple(adapters),
        dtype,
        add_up,
        stored,
        plan_shards(planned, max_shard_bytes),
        frozenset(replaced),
        _plan_config(base, dtype, untied=untied),
        tuple(warnings),
        in_memory,
    )


def dtype_of_result(source: StoredTensor, dtype: Dtype | None) -> Dtype:
    """Choose the dtype of a merged tensor: integers stay as they are."""
    if dtype is None or not source.dtype.is_floating_point:
        return source.dtype
    return dtype


def module_tensors(plan: MergePlan, module: str) -> list[TensorSpec]:
    """List a module's weight and, if it has one, its bias, as they are planned."""
    names = [n for part in ("weight", "bias") if (n := f"{module}.{part}") in plan.sources]
    return [
        TensorSpec(name, dtype_of_result(plan.sources[name], plan.dtype), plan.sources[name].shape)
        for name in names
    ]


def _check_kinds(
    adapters: Sequence[AdmittedAdapter], stored: Mapping[str, StoredTensor], *, add_up: bool
) -> list[str]:
    """Warn of the first adapter that cannot be merged tensor by tensor."""
    names = stored.keys() | {LM_HEAD}
    for adapter in adapters:
        kind = adapter.kind
        adapted = {f"{name}.weight" for name in adapter.contents.modules}
        if (adapted | adapter.contents.replaced.keys()) - names:
            kind = "a base that names its tensors otherwise than its model"
        if kind == "LoRA":
            continue
        if add_up:
            raise AdapterError(f"{adapter.files.folder}: {kind} has no sum with another adapter")
        return [
            f"{adapter.files.folder}: {kind} cannot be merged tensor by tensor: PEFT merges the"
            " whole model in memory"
        ]
    return []


def _unties_head(adapters: Sequence[AdmittedAdapter], stored: Mapping[str, StoredTensor]) -> bool:
    """Whether a tied LM head, which has no tensor of its own, needs one in the result."""
    if LM_HEAD in stored:
        return False
    changed = {
        name
        for adapter in adapters
        for name in (
            *(f"{module}.weight" for module in adapter.contents.modules),
            *adapter.contents.replaced,
        )
    }
    return not changed.isdisjoint((LM_HEAD, EMBEDDING))


def _check_combination(adapters: Sequence[AdmittedAdapter], *, add_up: bool) -> list[str]:
    """Refuse adapters that have no sum; warn of those that may be meant to be summed."""
    if add_up:
        for adapter in adapters:
            if adapter.settings.dora or adapter.contents.replaced:
                raise AdapterError(
                    f"{adapter.files.folder}: DoRA and weights held whole have no sum with another"
                    " adapter; merge in order"
                )
        return []
    recorded = [adapter.settings.base for adapter in adapters]
    repeated = {name for name in recorded if name and recorded.count(name) > 1}
    if not repeated:
        return []
    return [
        f"adapters record the same base, {repeated.pop()}: merging one after the other is right"
        " only if each was trained on the merged result of those before; else"
        f" {spelled('combine', 'sum')}"
    ]


def _plan_config(base: CheckpointFiles, dtype: Dtype | None, *, untied: bool) -> dict[str, object]:
    """Compute the config.json of the result."""
    config: dict[str, object] = json.loads((base.folder / CONFIG).read_text(encoding="utf-8"))
    for section in (config, config.get("text_config"), config.get("vision_config")):
        if not isinstance(section, dict):
            continue
        if untied and "tie_word_embeddings" in section:
            section["tie_word_embeddings"] = False
        for key in ("dtype", "torch_dtype"):
            if dtype is not None and key in section:
                section[key] = dtype.word
    if untied:
        config["tie_word_embeddings"] = False
    return config
