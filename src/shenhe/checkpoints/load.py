"""Loading a checkpoint with its own processor, and adapters by PEFT."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel
from peft.utils import set_peft_model_state_dict
from torch import nn
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    Qwen3VLProcessor,
)
from transformers.utils import is_flash_attn_2_available

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.gate import (
    PeftAdapter,
    admit_for_peft,
    refuse_quantised,
    refuse_together,
)
from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.interfaces import (
    AdaptedModel,
    ImageProcessor,
    Processor,
    Tokenizer,
    VisionLanguageModel,
)
from shenhe.checkpoints.quantize import quantize_int8
from shenhe.checkpoints.tensors import shorten
from shenhe.checkpoints.torch_tensors import read_tensor
from shenhe.errors import AdapterError, CheckpointError, OptionError, spelled
from shenhe.photos import PixelBudget

DTYPES = ("auto", "bfloat16", "float16", "float32")


class PhotoProcessor(Qwen3VLProcessor):  # type: ignore[misc]
    """A checkpoint's own processor without its video part, which would need torchvision."""

    def __init__(
        self,
        image_processor: ImageProcessor | None = None,
        tokenizer: Tokenizer | None = None,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template)


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A model in evaluation mode, its processor and its own pixel budget."""

    model: VisionLanguageModel
    processor: Processor
    budget: PixelBudget
    fingerprint: str


def load_checkpoint(
    model: str,
    adapters: Sequence[str] = (),
    *,
    dtype: str = "auto",
    attn_impl: str = "sdpa",
    device: str = "auto",
    quantize: str | None = None,
) -> LoadedCheckpoint:
    """Load a base or merged checkpoint and apply adapters in order.

        load_checkpoint("demo", ["demo"], dtype="float32").model

    Raises: CheckpointError or AdapterError, in one line that names the fault; UsageError for a
    dtype, a device or a quantisation that is not available.
    """
    _check_attention(attn_impl)
    base = find_checkpoint(model)
    refuse_quantised(base)
    files = [find_adapter(name) for name in adapters]
    admitted = admit_for_peft(base, files)
    refuse_together(admitted)
    processor = _load_processor(base)
    loaded: VisionLanguageModel = load_model(base, _parse_dtype(dtype), attn_impl)
    for number, adapter in enumerate(admitted):
        for message in adapter.warnings:
            warnings.warn(message, stacklevel=2)
        tuned = apply_adapter(loaded, adapter, f"adapter_{number}")
        loaded = tuned
    if len(admitted) > 1:
        problem = "cannot be used together; merge them"
        with foreign_library(f"{spelled('adapters')}: {problem}", AdapterError):
            tuned.base_model.set_adapter([f"adapter_{number}" for number in range(len(admitted))])
    loaded.to(_parse_device(device)).eval()
    _flatten_patch_embedding(loaded)
    if quantize == "int8":
        loaded = quantize_int8(loaded)
    size = processor.image_processor.size
    budget = PixelBudget(size["shortest_edge"], size["longest_edge"])
    return LoadedCheckpoint(loaded, processor, budget, fingerprint(base, *files))


def _check_attention(name: str) -> None:
    if "/" in name:
        raise OptionError("attn_impl", name, "a kernel of the Hub is foreign code, refused")
    if name == "flash_attention_2" and not is_flash_attn_2_available():
        remedy = f"pip install flash-attn, or {spelled('attn_impl', 'sdpa')}"
        raise OptionError("attn_impl", name, f"flash-attention is not installed: {remedy}")


class _PatchMatrix(nn.Module):
    """A convolution without overlap, computed as a matrix product.

    Some versions of torch and cuDNN take a thousand times as long for the convolution.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Shape: (patches, channels, frames, size, size) in, (patches, width) out."""
        return nn.functional.linear(patches.flatten(1), self.weight.flatten(1), self.bias)


def _flatten_patch_embedding(model: VisionLanguageModel) -> None:
    """Replace the convolution over patches, unless an adapter has wrapped it."""
    for module in list(model.modules()):
        projection = getattr(module, "proj", None)
        if type(projection) is nn.Conv3d and projection.stride == projection.kernel_size:
            module.proj = _PatchMatrix(projection)


def _load_processor(files: CheckpointFiles) -> Processor:
    with foreign_library(f"{files.folder}: processor files are damaged", CheckpointError):
        # torchvision, if installed, would round pixels differently.
        image_processor = AutoImageProcessor.from_pretrained(
            files.folder, backend="pil", trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(
            files.folder, padding_side="left", trust_remote_code=False
        )
    if not tokenizer.chat_template:
        raise CheckpointError(
            f"{files.folder}: chat_template.jinja is missing; copy it from the base checkpoint"
        )
    return PhotoProcessor(image_processor, tokenizer, tokenizer.chat_template)


def load_model(
    files: CheckpointFiles, dtype: torch.dtype | str, attn_impl: str
) -> VisionLanguageModel:
    """Load a checkpoint's weights on the CPU.

    Raises: CheckpointError, also if a weight is missing or unknown.
    """
    with foreign_library(f"{files.folder}: cannot be loaded", CheckpointError):
        model: VisionLanguageModel
        model, report = AutoModelForImageTextToText.from_pretrained(
            files.folder,
            dtype=dtype,
            attn_implementation=attn_impl,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"{files.folder}: {len(missing)} weights are missing: {shorten(missing)}"
        )
    if unknown := sorted(report["unexpected_keys"]):
        raise CheckpointError(f"{files.folder}: {len(unknown)} unknown weights: {shorten(unknown)}")
    return model


def apply_adapter(model: VisionLanguageModel, adapter: PeftAdapter, name: str) -> AdaptedModel:
    """Apply an admitted adapter, under PEFT's name for it.

    Raises: AdapterError if PEFT does not accept it.
    """
    folder, config = adapter.files.folder, copy.deepcopy(adapter.config)
    for tensor_name, stored in adapter.whole.items():
        _replace_tensor(model, tensor_name, read_tensor(stored))
    weights = {key: read_tensor(stored) for key, stored in adapter.weights.items()}
    subject = f"{folder}: does not fit the base"
    with foreign_library(subject, AdapterError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(model, PeftModel):
            model.add_adapter(name, config)
            tuned: AdaptedModel = model
        else:
            tuned = PeftModel(model, config, adapter_name=name)
        unmatched = set_peft_model_state_dict(tuned, weights, adapter_name=name).unexpected_keys
    if unmatched:
        raise AdapterError(
            f"{folder}: {len(unmatched)} weights match nothing in the base: {shorten(unmatched)}"
        )
    return tuned


def _replace_tensor(model: VisionLanguageModel, name: str, value: torch.Tensor) -> None:
    """Replace a tensor of the base; tensors that were tied to it stay as they are."""
    parent, _, leaf = name.rpartition(".")
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    module = base.get_submodule(parent)
    module = getattr(module, "base_layer", module)
    parameter = getattr(module, leaf)
    setattr(module, leaf, nn.Parameter(value.to(parameter), requires_grad=False))


def _parse_dtype(name: str) -> torch.dtype | str:
    if name not in DTYPES:
        raise OptionError("dtype", name, f"use one of {', '.join(DTYPES)}")
    return "auto" if name == "auto" else getattr(torch, name)


def _parse_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise OptionError("device", name, f"not to be had on this machine: {error}") from error
    return device
