"""Loading a checkpoint with its own processor, and adapters through PEFT."""

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

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.gate import (
    AdmittedAdapter,
    admit_adapters,
    refuse_quantised,
    refuse_together,
)
from shenhe.checkpoints.inspect import CheckpointFiles, find_adapter, find_checkpoint, fingerprint
from shenhe.checkpoints.interfaces import AdaptedModel, ImageProcessor, Model, Processor, Tokenizer
from shenhe.checkpoints.quantize import quantize_int8
from shenhe.errors import AdapterError, CheckpointError, UsageError
from shenhe.photos import PixelBudget

DTYPES = ("auto", "bfloat16", "float16", "float32")


class PhotoProcessor(Qwen3VLProcessor):  # type: ignore[misc]
    """The checkpoint's own processor without its video part, which would need torchvision."""

    def __init__(
        self,
        image_processor: ImageProcessor | None = None,
        tokenizer: Tokenizer | None = None,
        chat_template: str | None = None,
    ) -> None:
        super().__init__(image_processor, tokenizer, None, chat_template)


@dataclass(frozen=True, slots=True)
class LoadedCheckpoint:
    """A model ready to answer, its processor and its own pixel budget."""

    model: Model
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

    Raises: CheckpointError or AdapterError, in one line that names what does not fit; UsageError
    for a dtype, a device or a quantisation that is not to be had.
    """
    if "/" in attn_impl:
        raise UsageError(f"--attn-impl {attn_impl}: a kernel of the Hub is foreign code, refused")
    base = find_checkpoint(model)
    refuse_quantised(base)
    extras = [find_adapter(name) for name in adapters]
    admitted = admit_adapters(base, extras)
    refuse_together(admitted)
    processor = _load_processor(base)
    loaded: Model = load_model(base, _dtype(dtype), attn_impl)
    for number, adapter in enumerate(admitted):
        for told in adapter.warnings:
            warnings.warn(told, stacklevel=2)
        loaded = apply_adapter(loaded, adapter, f"adapter_{number}")
    if len(extras) > 1 and isinstance(loaded, PeftModel):
        with foreign_library("--adapters: cannot be used together; merge them", AdapterError):
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


def _flatten_patch_embedding(model: Model) -> None:
    """Replace the convolution over patches, unless an adapter has put something in its place."""
    for module in list(model.modules()):
        projection = getattr(module, "proj", None)
        if type(projection) is nn.Conv3d and projection.stride == projection.kernel_size:
            module.proj = _PatchMatrix(projection)


def _load_processor(files: CheckpointFiles) -> Processor:
    with foreign_library(f"{files.folder}: processor files are damaged", CheckpointError):
        # The same pixels whether torchvision is there or not: its backend rounds differently.
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


def load_model(files: CheckpointFiles, dtype: torch.dtype | str, attn_impl: str) -> Model:
    """Load a checkpoint's weights, all of them and no others, on the CPU.

    Raises: CheckpointError.
    """
    with foreign_library(f"{files.folder}: cannot be loaded", CheckpointError):
        model: Model
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
            f"{files.folder}: {len(missing)} weights are missing: {_some(missing)}"
        )
    if odd := sorted(report["unexpected_keys"]):
        raise CheckpointError(f"{files.folder}: {len(odd)} unknown weights: {_some(odd)}")
    return model


def apply_adapter(model: Model, adapter: AdmittedAdapter, name: str) -> AdaptedModel:
    """Apply one adapter that the gate has let in.

    Raises: AdapterError if PEFT does not take it.
    """
    folder, config = adapter.files.folder, copy.deepcopy(adapter.config)
    for tensor_name, stored in adapter.placed.whole.items():
        _replace_whole(model, tensor_name, stored.read())
    weights = {key: stored.read() for key, stored in adapter.placed.weights.items()}
    what = f"{folder}: does not fit the base"
    with foreign_library(what, AdapterError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(model, PeftModel):
            model.add_adapter(name, config)
            tuned: AdaptedModel = model
        else:
            tuned = PeftModel(model, config, adapter_name=name)
        odd = set_peft_model_state_dict(tuned, weights, adapter_name=name).unexpected_keys
    if odd:
        raise AdapterError(f"{folder}: {len(odd)} weights match nothing in the base: {_some(odd)}")
    return tuned


def _replace_whole(model: Model, name: str, value: torch.Tensor) -> None:
    """Put a tensor in the place of the base's own; what was tied to that stays as it was."""
    head, _, leaf = name.rpartition(".")
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    module = base.get_submodule(head)
    module = getattr(module, "base_layer", module)
    parameter = getattr(module, leaf)
    setattr(module, leaf, nn.Parameter(value.to(parameter), requires_grad=False))


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
