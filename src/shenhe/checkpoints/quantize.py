"""Weights rounded to int8 by torchao: half the memory of bfloat16, a quarter of float32."""

from __future__ import annotations

from peft import PeftModel
from torch import nn

from shenhe.checkpoints.interfaces import VisionLanguageModel
from shenhe.errors import UsageError, spelled

REMEDY = "pip install 'shenhe[int8]'"


def quantize_int8(model: VisionLanguageModel) -> VisionLanguageModel:
    """Round the weights of linear layers to int8, with one scale for each row of a matrix.

    Adapters are merged first, since nothing can be added to rounded weights. Embeddings, the LM
    head, norms and convolutions stay as they are. Activations are not quantised.
    Raises: UsageError without torchao.
    """
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as error:
        raise UsageError(f"{spelled('quantize', 'int8')} needs torchao: {REMEDY}") from error
    plain: VisionLanguageModel = model.merge_and_unload() if isinstance(model, PeftModel) else model
    head = plain.get_output_embeddings()
    quantize_(
        plain,
        Int8WeightOnlyConfig(),
        filter_fn=lambda module, name: isinstance(module, nn.Linear) and module is not head,
    )
    _leave_file(plain)
    return plain


def _leave_file(model: VisionLanguageModel) -> None:
    """Copy the weights that stay as they are: on a CPU they lie in the mapped checkpoint.

    The last of them would keep all of it mapped, what has been rounded as well.
    """
    for parameter in model.parameters():
        if not hasattr(parameter, "__tensor_flatten__"):  # torchao's have been made anew
            parameter.data = parameter.data.clone()
