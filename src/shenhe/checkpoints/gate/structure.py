"""PEFT's own opinion of an adapter: built on the base's configuration, without any weights."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import get_peft_model_state_dict
from transformers import AutoConfig, AutoModelForImageTextToText

from shenhe.checkpoints.adapter import PREFIX, AdapterContents, spellings
from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.gate.weights import some
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import StoredTensor
from shenhe.errors import AdapterError, CheckpointError

_TIED = ".lm_head.token_adapter."
"""A tied head has the embedding's trained tokens, which are stored once."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An adapter's tensors by the names that PEFT saves them under, and those it has no name for:
    they replace tensors of the base whole."""

    weights: dict[str, StoredTensor]
    whole: dict[str, StoredTensor]


def empty_model(base: CheckpointFiles) -> Any:
    """Make the model of a checkpoint without memory for its weights.

    Raises: CheckpointError.
    """
    with foreign_library(f"{base.folder}: cannot be loaded", CheckpointError):
        config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoModelForImageTextToText.from_config(config, trust_remote_code=False)
    return model


def with_names_of_base(config: PeftConfig, model: Any, contents: AdapterContents) -> PeftConfig:
    """Say with the base's names what a configuration of another time says with those of its own.

    Only where PEFT would not find all of the adapter's modules by the names of now; then what it
    would match by those of other times is asked for by name.
    """
    targets = getattr(config, "target_modules", None)
    if not targets or (isinstance(targets, str) and targets.lower() == "all-linear"):
        return config
    if all(
        check_target_module_exists(config, name) for name in contents.modules or contents.written
    ):
        return config
    named = [
        name
        for name, _ in model.named_modules()
        if any(check_target_module_exists(config, spelled) for spelled in spellings(name))
    ]
    renamed = copy.deepcopy(config)
    for option in ("exclude_modules", "layers_to_transform", "layers_pattern"):
        if hasattr(renamed, option):
            setattr(renamed, option, None)
    renamed.target_modules = "|".join(map(re.escape, named)) or targets
    return renamed


def place(model: Any, config: PeftConfig, contents: AdapterContents, folder: Path) -> Placed:
    """Compare an adapter with what PEFT would save of this base, name by name, shape by shape.

    Raises: AdapterError that names what is missing, has no place or does not fit.
    """
    own = dict(model.state_dict())
    what = f"{folder}: does not fit the base"
    with foreign_library(what, AdapterError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = PeftModel(model, copy.deepcopy(config), low_cpu_mem_usage=True)
        expected = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    weights = dict(contents.others)
    for name, parts in contents.modules.items():
        weights |= {f"{PREFIX}{name}.{part}": stored for part, stored in parts.items()}
    whole: dict[str, StoredTensor] = {}
    for name, stored in contents.replaced.items():
        head, _, leaf = name.rpartition(".")
        keys = (f"{PREFIX}{name}", f"{PREFIX}{head}.base_layer.{leaf}")
        if key := next((key for key in keys if key in expected), None):
            weights[key] = stored
        else:
            whole[name] = stored
    _refuse_other_keys(folder, weights, expected)
    _refuse_other_shapes(folder, weights, expected)
    _refuse_other_shapes(folder, whole, own)
    return Placed(weights, whole)


def _refuse_other_keys(
    folder: Path, weights: Mapping[str, StoredTensor], expected: Mapping[str, torch.Tensor]
) -> None:
    if odd := sorted(weights.keys() - expected.keys()):
        raise AdapterError(
            f"{folder}: does not fit the base: {len(odd)} of {len(weights)} weights match nothing"
            f" that its configuration names (target_modules): {some(odd)}; was it trained on"
            " another base?"
        )
    lacking = sorted(key for key in expected.keys() - weights.keys() if _TIED not in key)
    if lacking:
        raise AdapterError(
            f"{folder}: lacks weights for {len(lacking)} places that its configuration names:"
            f" {some(lacking)}; save it again, or take the configuration that was saved with it"
        )


def _refuse_other_shapes(
    folder: Path, weights: Mapping[str, StoredTensor], expected: Mapping[str, torch.Tensor]
) -> None:
    odd = [
        f"{name} is {list(stored.shape)}, the base's {list(expected[name].shape)}"
        for name, stored in weights.items()
        if name in expected and stored.shape != expected[name].shape
    ]
    if odd:
        raise AdapterError(
            f"{folder}: does not fit the base: {len(odd)} weights do not fit the base: {some(odd)}"
        )
    kinds = [
        f"{name} is {str(stored.dtype).removeprefix('torch.')}"
        for name, stored in weights.items()
        if name in expected
        and stored.dtype.is_floating_point != expected[name].dtype.is_floating_point
    ]
    if kinds:
        raise AdapterError(f"{folder}: {len(kinds)} weights are of another kind: {some(kinds)}")
