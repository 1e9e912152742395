"""Weights in int8: half the memory of bfloat16, a quarter of float32, by torchao."""

from __future__ import annotations

from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from shenhe.errors import UsageError

KINDS = ("int8",)
REMEDY = "pip install 'shenhe[int8]'"


def quantize(model: PreTrainedModel | PeftModel, kind: str) -> Any:
    """Round the weights of linear layers to int8, with one scale for each row of a matrix.

    Adapters are merged into the model in memory first: there is nothing to add them to afterwards.
    Embeddings, the head, norms and convolutions stay as they are. Activations are not quantised.
    Raises: UsageError for a kind there is none of, or without torchao.
    """
    if kind not in KINDS:
        raise UsageError(f"--quantize {kind}: use one of {', '.join(KINDS)}")
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise UsageError(f"--quantize {kind} needs torchao: {REMEDY}") from error
    plain = model.merge_and_unload() if isinstance(model, PeftModel) else model
    head = plain.get_output_embeddings()
    quantize_(
        plain,
        Int8WeightOnlyConfig(),
        filter_fn=lambda module, name: isinstance(module, nn.Linear) and module is not head,
    )
    return plain
