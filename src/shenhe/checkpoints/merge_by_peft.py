"""Merging a module by PEFT, in a model that holds nothing else: DoRA, convolutions, ..."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel
from peft.utils import set_peft_model_state_dict
from torch import nn

from shenhe.checkpoints.adapter import PREFIX
from shenhe.checkpoints.gate import PeftAdapter
from shenhe.checkpoints.merge_plan import MergePlan, module_tensors
from shenhe.checkpoints.torch_tensors import read_tensor, torch_dtype
from shenhe.errors import AdapterError


def merge_module(plan: MergePlan, module: str) -> dict[str, NDArray[np.uint8]]:
    """Merge all adapters of a plan into a module, in order.

    Returns: the bytes of its tensors by name.
    Raises: AdapterError if PEFT does not accept the adapter's weights for this module;
    CheckpointError.
    """
    planned = {tensor.name: torch_dtype(tensor.dtype) for tensor in module_tensors(plan, module)}
    tensors = {name: read_tensor(plan.sources[name]).to(planned[name]) for name in planned}
    if plan.add_up:  # summed in float32, and rounded once
        tensors = {name: tensor.float() for name, tensor in tensors.items()}
    for adapter in plan.adapters:
        for name in planned.keys() & adapter.contents.replaced.keys():
            tensors[name] = read_tensor(adapter.contents.replaced[name]).to(planned[name])
        if module in adapter.contents.modules:
            assert isinstance(adapter, PeftAdapter)  # the gate asks PEFT about all but plain LoRA
            tensors = _merge_adapter(module, tensors, adapter)
    return {
        name: tensor.to(planned[name]).contiguous().view(-1).view(torch.uint8).numpy()
        for name, tensor in tensors.items()
    }


def _merge_adapter(
    name: str, tensors: dict[str, torch.Tensor], adapter: PeftAdapter
) -> dict[str, torch.Tensor]:
    """Merge an adapter into a module; tensors are given and returned by their names in the base."""
    weights = adapter.contents.modules[name]
    params = {full.rpartition(".")[2]: tensor for full, tensor in tensors.items()}
    layer = _create_layer(params, embedding="lora_embedding_A" in weights)
    root = _nest(name, layer)
    state = {f"{PREFIX}{name}.{part}": read_tensor(stored) for part, stored in weights.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tuned = PeftModel(root, _config_for(adapter, name))
            result = set_peft_model_state_dict(tuned, state)
            if result.unexpected_keys:
                raise AdapterError(
                    f"{adapter.files.folder}: {result.unexpected_keys[0]} is not of LoRA"
                )
            merged = tuned.merge_and_unload()
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        problem = " ".join(str(error).split())[:300]
        raise AdapterError(f"{adapter.files.folder}: {name} cannot be merged: {problem}") from error
    module = merged.get_submodule(name)
    return {f"{name}.{param}": getattr(module, param).data for param in params}


def _nest(name: str, layer: nn.Module) -> nn.Module:
    """Create a model that holds a layer under its dotted name."""
    root = parent = nn.Module()
    *path, leaf = name.split(".")
    for segment in path:
        child = nn.Module()
        parent.add_module(segment, child)
        parent = child
    parent.add_module(leaf, layer)
    return root


def _config_for(adapter: PeftAdapter, name: str) -> LoraConfig:
    """Narrow a configuration to one module."""
    config = adapter.config
    assert isinstance(config, LoraConfig)
    return replace(
        config,
        target_modules=[name],
        exclude_modules=None,
        modules_to_save=None,
        layers_to_transform=None,
        layers_pattern=None,
    )


def _create_layer(params: dict[str, torch.Tensor], *, embedding: bool) -> nn.Module:
    """Create the layer that holds these parameters, without initialising others first."""
    weight, bias = params["weight"], "bias" in params
    layer: nn.Module
    with torch.device("meta"):
        if embedding:
            layer = nn.Embedding(*weight.shape)
        elif weight.ndim == 2:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
        elif weight.ndim == 4:
            channels_out, channels_in, height, width = weight.shape
            area = (height, width)
            layer = nn.Conv2d(channels_in, channels_out, area, area, bias=bias)
        elif weight.ndim == 5:
            channels_out, channels_in, frames, height, width = weight.shape
            volume = (frames, height, width)
            layer = nn.Conv3d(channels_in, channels_out, volume, volume, bias=bias)
        else:
            raise AdapterError(f"a weight of shape {list(weight.shape)} takes no LoRA")
    for param, value in params.items():
        setattr(layer, param, nn.Parameter(value, requires_grad=False))
    return layer
