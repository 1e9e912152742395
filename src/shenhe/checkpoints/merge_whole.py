"""Merging adapters of kinds that touch more than one tensor at a time: the whole model, by PEFT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners.tuners_utils import BaseTuner

from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.load import apply_adapter, load_model
from shenhe.errors import AdapterError


def check_kind(kind: str, files: CheckpointFiles) -> None:
    """Refuse kinds that add nothing to weights, such as prompts.

    Raises: AdapterError.
    """
    tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(kind.split()[0].upper())
    if tuner is None or not issubclass(tuner, BaseTuner):
        raise AdapterError(f"{files.folder}: a {kind} adapter; that kind cannot be merged")


def merge_whole(
    base: CheckpointFiles,
    adapters: Sequence[CheckpointFiles],
    dtype: torch.dtype | None,
    folder: Path,
    max_shard_bytes: int,
) -> None:
    """Load a base, merge adapters into it one after the other, and save weights and configuration.

    Raises: CheckpointError or AdapterError.
    """
    model = load_model(base, dtype or "auto", "sdpa")
    names = model.state_dict().keys()
    for files in adapters:
        model = apply_adapter(model, files, "default", names).merge_and_unload()
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is not None and not torch.equal(head.weight, embedding.weight):
        model.config.tie_word_embeddings = False
        model.config.text_config.tie_word_embeddings = False
    model.save_pretrained(folder, max_shard_size=max_shard_bytes)
