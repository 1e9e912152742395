"""PEFT's own view of an adapter: built on the base's configuration, without any weights."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.tuners_utils import check_target_module_exists
from peft.utils import get_peft_model_state_dict
from transformers import AutoConfig, AutoModelForImageTextToText

from shenhe.checkpoints.adapter import PREFIX, AdapterContents, spellings
from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.interfaces import VisionLanguageModel
from shenhe.checkpoints.tensors import StoredTensor, shorten
from shenhe.errors import AdapterError, CheckpointError

_TIED = ".lm_head.token_adapter."
"""A tied LM head has the embedding's trained tokens, which are stored once."""


class MatchedTensors(NamedTuple):
    """An adapter's tensors by PEFT's names, and those without one, which replace the base's."""

    weights: dict[str, StoredTensor]
    whole: dict[str, StoredTensor]


def create_empty_model(base: CheckpointFiles) -> VisionLanguageModel:
    """Create the model of a checkpoint on the meta device, without memory for its weights.

    Raises: CheckpointError.
    """
    with foreign_library(f"{base.folder}: cannot be loaded", CheckpointError):
        config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: VisionLanguageModel = AutoModelForImageTextToText.from_config(
                config, trust_remote_code=False
            )
    return model


def use_base_names(
    config: PeftConfig, model: VisionLanguageModel, contents: AdapterContents
) -> PeftConfig:
    """Rewrite a configuration with module names of older versions to the base's names.

    Only if PEFT would not find all of the adapter's modules by today's names; then every module
    that the older names match is targeted by its name.
    """
    targets = getattr(config, "target_modules", None)
    if not targets or (isinstance(targets, str) and targets.lower() == "all-linear"):
        return config
    if all(
        check_target_module_exists(config, name)
        for name in contents.modules or contents.stored_names
    ):
        return config
    matches = [
        name
        for name, _ in model.named_modules()
        if any(check_target_module_exists(config, spelling) for spelling in spellings(name))
    ]
    renamed = copy.deepcopy(config)
    for option in ("exclude_modules", "layers_to_transform", "layers_pattern"):
        if hasattr(renamed, option):
            setattr(renamed, option, None)
    renamed.target_modules = "|".join(map(re.escape, matches)) or targets
    return renamed


def match_peft_names(
    model: VisionLanguageModel, config: PeftConfig, contents: AdapterContents, folder: Path
) -> MatchedTensors:
    """Compare an adapter with what PEFT would save of this base, name by name, shape by shape.

    Raises: AdapterError that names tensors that are missing, match nothing or do not fit.
    """
    base_tensors = dict(model.state_dict())
    subject = f"{folder}: does not fit the base"
    with foreign_library(subject, AdapterError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = PeftModel(model, copy.deepcopy(config), low_cpu_mem_usage=True)
        expected = get_peft_model_state_dict(tuned, save_embedding_layers=False)
    weights = dict(contents.peft_keys)
    for name, parts in contents.modules.items():
        weights |= {f"{PREFIX}{name}.{part}": stored for part, stored in parts.items()}
    whole: dict[str, StoredTensor] = {}
    for name, stored in contents.replaced.items():
        module, _, param = name.rpartition(".")
        keys = (f"{PREFIX}{name}", f"{PREFIX}{module}.base_layer.{param}")
        if key := next((key for key in keys if key in expected), None):
            weights[key] = stored
        else:
            whole[name] = stored
    _refuse_other_keys(folder, weights, expected)
    _refuse_other_shapes(folder, weights, expected)
    _refuse_other_shapes(folder, whole, base_tensors)
    return MatchedTensors(weights, whole)


def _refuse_other_keys(
    folder: Path, weights: Mapping[str, StoredTensor], expected: Mapping[str, torch.Tensor]
) -> None:
    if unmatched := sorted(weights.keys() - expected.keys()):
        raise AdapterError(
            f"{folder}: does not fit the base: {len(unmatched)} of {len(weights)} weights match"
            f" nothing that its configuration names (target_modules): {shorten(unmatched)}; was it"
            " trained on another base?"
        )
    missing = sorted(key for key in expected.keys() - weights.keys() if _TIED not in key)
    if missing:
        raise AdapterError(
            f"{folder}: lacks weights for {len(missing)} places that its configuration names:"
            f" {shorten(missing)}; save it again, or take the configuration that was saved with it"
        )


def _refuse_other_shapes(
    folder: Path, weights: Mapping[str, StoredTensor], expected: Mapping[str, torch.Tensor]
) -> None:
    shapes = [
        f"{name} is {list(stored.shape)}, the base's {list(expected[name].shape)}"
        for name, stored in weights.items()
        if name in expected and stored.shape != expected[name].shape
    ]
    if shapes:
        raise AdapterError(
            f"{folder}: does not fit the base: {len(shapes)} weights do not fit the base:"
            f" {shorten(shapes)}"
        )
    dtypes = [
        f"{name} is {stored.dtype.word}"
        for name, stored in weights.items()
        if name in expected
        and stored.dtype.is_floating_point != expected[name].dtype.is_floating_point
    ]
    if dtypes:
        raise AdapterError(
            f"{folder}: {len(dtypes)} weights are of another kind: {shorten(dtypes)}"
        )
