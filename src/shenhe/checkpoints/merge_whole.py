"""Merging adapters that reach beyond one module: the whole model in memory, by PEFT."""

from __future__ import annotations

from pathlib import Path

import torch

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.gate import PeftAdapter
from shenhe.checkpoints.load import apply_adapter, load_model
from shenhe.checkpoints.merge_plan import MergePlan
from shenhe.checkpoints.torch_tensors import torch_dtype
from shenhe.errors import AdapterError


def merge_whole(plan: MergePlan, folder: Path, max_shard_bytes: int) -> None:
    """Load a base, merge adapters one after the other, and save weights and configuration.

    Raises: CheckpointError or AdapterError.
    """
    model = load_model(plan.base, torch_dtype(plan.dtype) if plan.dtype else "auto", "sdpa")
    for adapter in plan.adapters:
        assert isinstance(adapter, PeftAdapter)  # the gate asks PEFT about all but plain LoRA
        tuned = apply_adapter(model, adapter, "default")
        with foreign_library(f"{adapter.files.folder}: cannot be merged", AdapterError):
            model = tuned.merge_and_unload()
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and not torch.equal(head.weight, embedding.weight):
        model.config.tie_word_embeddings = False
        model.config.text_config.tie_word_embeddings = False
    model.save_pretrained(folder, max_shard_size=max_shard_bytes)
