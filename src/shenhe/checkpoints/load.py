"""Loading a checkpoint with its own processor, and adapters through PEFT."""

from __future__ import annotations

import re
import warnings
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.utils import set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedModel,
    Qwen3VLProcessor,
)

from shenhe.checkpoints.adapter import PREFIX, name_in_base
from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.quantize import quantize_int8
from shenhe.errors import AdapterError, CheckpointError, UsageError
from shenhe.photos import PixelBudget

DTYPES = ("auto", "bfloat16", "float16", "float32")


class PhotoProcessor(Qwen3VLProcessor):  # type: ignore[misc]
    """The checkpoint's own processor without its video part, which would need torchvision."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template)


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A model ready to answer, its processor and its own pixel budget."""

    model: PreTrainedModel
    processor: PhotoProcessor
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

    Raises: CheckpointError or AdapterError, in one line that names what does not fit; UsageError
    for a dtype, a device or a quantisation that is not to be had.
    """
    base = find_checkpoint(model)
    extras = [find_adapter(name) for name in adapters]
    processor = _load_processor(base)
    loaded = load_model(base, _dtype(dtype), attn_impl)
    names = loaded.state_dict().keys()
    for number, files in enumerate(extras):
        loaded = apply_adapter(loaded, files, f"adapter_{number}", names)
    if len(extras) > 1:
        loaded.base_model.set_adapter([f"adapter_{number}" for number in range(len(extras))])
    loaded.to(_device(device)).eval()
    _flatten_patch_embedding(loaded)
    if quantize == "int8":
        loaded = quantize_int8(loaded)
    size = processor.image_processor.size
    budget = PixelBudget(size["shortest_edge"], size["longest_edge"])
    return LoadedCheckpoint(loaded, processor, budget, fingerprint(base, *extras))


class _PatchMatrix(nn.Module):
    """A convolution whose kernel never overlaps, as the matrix product that it is.

    Some versions of torch and cuDNN take a thousand times as long for it as a convolution.
    """

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Shape: (patches, channels, frames, size, size) in, (patches, width) out."""
        return nn.functional.linear(patches.flatten(1), self.weight.flatten(1), self.bias)


def _flatten_patch_embedding(model: nn.Module) -> None:
    """Replace the convolution over patches, unless an adapter has put something in its place."""
    for module in list(model.modules()):
        projection = getattr(module, "proj", None)
        if type(projection) is nn.Conv3d and projection.stride == projection.kernel_size:
            module.proj = _PatchMatrix(projection)


def _load_processor(files: CheckpointFiles) -> PhotoProcessor:
    try:
        # The same pixels whether torchvision is there or not: its backend rounds differently.
        image_processor = AutoImageProcessor.from_pretrained(files.folder, backend="pil")
        tokenizer = AutoTokenizer.from_pretrained(files.folder, padding_side="left")
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{files.folder}: processor files are damaged: {error}") from error
    if not tokenizer.chat_template:
        raise CheckpointError(
            f"{files.folder}: chat_template.jinja is missing; copy it from the base checkpoint"
        )
    return PhotoProcessor(image_processor, tokenizer, tokenizer.chat_template)


def load_model(files: CheckpointFiles, dtype: torch.dtype | str, attn_impl: str) -> PreTrainedModel:
    """Load a checkpoint's weights, all of them and no others, on the CPU.

    Raises: CheckpointError.
    """
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            files.folder,
            dtype=dtype,
            attn_implementation=attn_impl,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, ImportError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{files.folder}: cannot be loaded: {first}") from error
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"{files.folder}: {len(missing)} weights are missing: {_some(missing)}"
        )
    if odd := sorted(report["unexpected_keys"]):
        raise CheckpointError(f"{files.folder}: {len(odd)} unknown weights: {_some(odd)}")
    return model


def apply_adapter(
    model: PreTrainedModel, files: CheckpointFiles, name: str, base_names: Container[str]
) -> Any:
    """Apply one adapter; what PEFT only warns about is an error here.

    Raises: AdapterError that names what does not fit.
    """
    try:
        config = PeftConfig.from_pretrained(str(files.folder))
        # Trainers of other times name the same modules otherwise.
        weights = {
            PREFIX + found if (found := name_in_base(key, base_names)) else key: weight
            for key, weight in load_file(files.weights[0]).items()
        }
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise AdapterError(f"{files.folder}: cannot be read: {error}") from error
    config.inference_mode = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(model, PeftModel):
                model.add_adapter(name, config)
                tuned = model
            else:
                tuned = PeftModel(model, config, adapter_name=name)
            result = set_peft_model_state_dict(tuned, weights, adapter_name=name)
    except (ValueError, RuntimeError, KeyError) as error:
        first = " ".join(str(error).split())[:300]
        raise AdapterError(f"{files.folder}: does not fit the base: {first}") from error
    if odd := sorted(result.unexpected_keys):
        raise AdapterError(
            f"{files.folder}: {len(odd)} of {len(weights)} weights match nothing in the base: "
            f"{_some(odd)}; was it trained on another base?"
        )
    own = (key for key in result.missing_keys if re.search(rf"\.{name}(\.|$)", key))
    # A tied head has the embedding's trained tokens, which are stored once.
    lacking = sorted(key for key in own if ".lm_head.token_adapter." not in key)
    if lacking:
        raise AdapterError(
            f"{files.folder}: lacks weights for {len(lacking)} places: {_some(lacking)}"
        )
    if not any(bool(weight.any()) for weight in weights.values()):
        warnings.warn(f"{files.folder}: all weights are zero: it changes nothing", stacklevel=2)
    return tuned


def _some(names: Sequence[str], count: int = 5) -> str:
    rest = len(names) - count
    return ", ".join(names[:count]) + (f" and {rest} more" if rest > 0 else "")


def _dtype(name: str) -> torch.dtype | str:
    if name not in DTYPES:
        raise UsageError(f"--dtype {name}: use one of {', '.join(DTYPES)}")
    return "auto" if name == "auto" else getattr(torch, name)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name}: not to be had on this machine: {error}") from error
    return device
