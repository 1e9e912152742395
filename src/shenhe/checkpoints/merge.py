"""Merging adapters into a base: gate, plan, staged folder.

LoRA on matrices, by far the most common kind, is added by numpy, a few megabytes at a time and
without torch; other kinds are merged by PEFT, in a model that holds one module or, where they reach
beyond a module, the whole. The result is PEFT's own to the bit in each case.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shenhe.checkpoints.companions import EXPECTED_FILES, copy_companions, write_provenance
from shenhe.checkpoints.gate import admit_adapters, refuse_quantised
from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint
from shenhe.checkpoints.merge_plan import MergePlan, plan_merge
from shenhe.checkpoints.merge_streamed import write_merged
from shenhe.checkpoints.staged_folder import staged_folder
from shenhe.checkpoints.tensors import BFLOAT16, FLOAT16, FLOAT32, Dtype
from shenhe.errors import OptionError, needs, spelled

Combine = Literal["order", "sum"]


@dataclass(frozen=True, slots=True)
class MergeReport:
    """The result of a merge; `base_missing` are recommended files that the base itself lacks."""

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
    """Merge adapters and write a checkpoint, which is complete or absent, also after a kill.

    `order` is right if each adapter was trained on the merged result of those before it, `sum` if
    all were trained on one base. `on_bytes` is called with the bytes written so far and in total.

        merge_adapters("base", ["adapter"], Path("merged"), dtype="bfloat16")

    Raises: CheckpointError, AdapterError, UsageError.
    """
    base, files = _find_inputs(model, adapters, output, overwrite=overwrite)
    admitted = admit_adapters(base, files)
    for message in [message for adapter in admitted for message in adapter.warnings]:
        warnings.warn(message, stacklevel=2)
    plan = plan_merge(
        base,
        admitted,
        dtype=_parse_dtype(dtype),
        add_up=combine == "sum",
        max_shard_bytes=max_shard_bytes,
    )
    for message in plan.warnings:
        warnings.warn(message, stacklevel=2)
    with staged_folder(output, plan.nbytes) as folder:
        copy_companions(base, folder)
        write_provenance(folder, base, files, combine, dtype)
        _write_weights(plan, folder, max_shard_bytes, on_bytes)
    missing = tuple(name for name in EXPECTED_FILES if not (base.folder / name).exists())
    return MergeReport(output, plan.nbytes, plan.merged_count, len(plan.replaced), missing)


def _find_inputs(
    model: str, adapters: Sequence[str], output: Path, *, overwrite: bool
) -> tuple[CheckpointFiles, list[CheckpointFiles]]:
    base = find_checkpoint(model)
    refuse_quantised(base)
    files = [find_adapter(name) for name in adapters]
    if not files:
        raise OptionError("adapters", None, "name at least one")
    if output.exists() and not overwrite:
        raise OptionError(
            "output_dir", output, f"exists; use another, or {spelled('overwrite', True)}"
        )
    if output.exists() and any(output.samefile(f.folder) for f in (base, *files)):
        raise OptionError("output_dir", output, "is the base or an adapter")
    return base, files


def _write_weights(
    plan: MergePlan, folder: Path, max_shard_bytes: int, on_bytes: Callable[[int, int], None]
) -> None:
    if not plan.in_memory:
        write_merged(plan, folder, on_bytes)
        return
    with needs("local"):
        from shenhe.checkpoints.merge_whole import merge_whole  # imports PEFT and transformers

    merge_whole(plan, folder, max_shard_bytes)
    on_bytes(plan.nbytes, plan.nbytes)


def _parse_dtype(name: str) -> Dtype | None:
    dtypes = {"auto": None} | {dtype.word: dtype for dtype in (BFLOAT16, FLOAT16, FLOAT32)}
    if name not in dtypes:
        raise OptionError("dtype", name, "use auto, bfloat16, float16 or float32")
    return dtypes[name]
