"""Merging one module by PEFT itself, in a model that holds nothing else: DoRA, convolutions, ..."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.utils import set_peft_model_state_dict
from torch import nn

from shenhe.checkpoints.adapter import PREFIX
from shenhe.checkpoints.gate import AdmittedAdapter
from shenhe.errors import AdapterError


def merge_by_peft(
    name: str, tensors: dict[str, torch.Tensor], adapter: AdmittedAdapter
) -> dict[str, torch.Tensor]:
    """Merge a module's tensors, given and returned by their names in the base.

    Raises: AdapterError if PEFT does not take the adapter's weights for this module.
    """
    root = nn.Module()
    *parents, leaf = name.split(".")
    place = root
    for parent in parents:
        place.add_module(parent, nn.Module())
        place = place.get_submodule(parent)
    weights = adapter.contents.modules[name]
    parts = {full.rpartition(".")[2]: tensor for full, tensor in tensors.items()}
    place.add_module(leaf, _layer(parts, "lora_embedding_A" in weights))
    state = {f"{PREFIX}{name}.{part}": stored.read() for part, stored in weights.items()}
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
        first = " ".join(str(error).split())[:300]
        raise AdapterError(f"{adapter.files.folder}: {name} cannot be merged: {first}") from error
    done = merged.get_submodule(name)
    return {f"{name}.{part}": getattr(done, part).data for part in parts}


def _config_for(adapter: AdmittedAdapter, name: str) -> LoraConfig:
    """Keep of a configuration what decides how one module is merged."""
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


def _layer(weights: dict[str, torch.Tensor], embedding: bool) -> nn.Module:
    """Make the layer that holds given weights, without filling others first."""
    weight = weights["weight"]
    layer: nn.Module
    with torch.device("meta"):
        if embedding:
            layer = nn.Embedding(*weight.shape)
        elif weight.ndim == 2:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in weights)
        elif weight.ndim in (4, 5):
            kind: Any = nn.Conv2d if weight.ndim == 4 else nn.Conv3d
            out, inner, *kernel = weight.shape
            layer = kind(inner, out, tuple(kernel), tuple(kernel), bias="bias" in weights)
        else:
            raise AdapterError(f"a weight of shape {list(weight.shape)} takes no LoRA")
    for part, value in weights.items():
        setattr(layer, part, nn.Parameter(value, requires_grad=False))
    return layer
