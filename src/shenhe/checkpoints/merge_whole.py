"""Merging adapters of kinds that touch more than one tensor at a time: the whole model, by PEFT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.gate import AdmittedAdapter
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.load import apply_adapter, load_model
from shenhe.errors import AdapterError


def merge_whole(
    base: CheckpointFiles,
    adapters: Sequence[AdmittedAdapter],
    dtype: torch.dtype | None,
    folder: Path,
    max_shard_bytes: int,
) -> None:
    """Load a base, merge adapters into it one after the other, and save weights and configuration.

    Raises: CheckpointError or AdapterError.
    """
    model = load_model(base, dtype or "auto", "sdpa")
    for adapter in adapters:
        tuned = apply_adapter(model, adapter, "default")
        with foreign_library(f"{adapter.files.folder}: cannot be merged", AdapterError):
            model = tuned.merge_and_unload()
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and not torch.equal(head.weight, embedding.weight):
        model.config.tie_word_embeddings = False
        model.config.text_config.tie_word_embeddings = False
    model.save_pretrained(folder, max_shard_size=max_shard_bytes)
