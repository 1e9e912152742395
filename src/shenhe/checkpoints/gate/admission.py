"""Admission of an adapter by PEFT: built on the base's configuration, without any weights."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TypeVar

from peft import PeftConfig
from peft.utils.other import get_pattern_key

from shenhe.checkpoints.adapter import AdapterContents, LoraSettings, spellings
from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.gate.admitted import PeftAdapter
from shenhe.checkpoints.gate.configuration import (
    CONFIG,
    LORA,
    describe_kind,
    read_configuration,
    read_numbers,
    recorded_base,
    refuse_unknown_options,
)
from shenhe.checkpoints.gate.history import find_differences
from shenhe.checkpoints.gate.side_files import refuse_side_files
from shenhe.checkpoints.gate.structure import (
    create_empty_model,
    match_peft_names,
    use_base_names,
)
from shenhe.checkpoints.gate.weights import (
    check_values,
    read_contents,
    refuse_halves,
    refuse_ranks,
)
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.interfaces import VisionLanguageModel
from shenhe.checkpoints.tensors import read_tables, shorten
from shenhe.errors import AdapterError, CheckpointError

_Number = TypeVar("_Number")


def admit_by_peft(base: CheckpointFiles, files: CheckpointFiles) -> PeftAdapter:
    """Admit an adapter by what PEFT would save of this base.

    Raises: AdapterError; CheckpointError if the base is at fault.
    """
    values = read_configuration(files.folder)
    refuse_side_files(files.folder, files.weights)
    lora = values["peft_type"] == LORA
    across = bool(values.get("target_parameters"))
    config = _read_peft_config(files)
    options = {field.name for field in dataclasses.fields(config)}
    messages = [refuse_unknown_options(files.folder / CONFIG, values, options)]
    model = create_empty_model(base)
    _refuse_other_shapes_of_base(base, model)
    contents = read_contents(files, model.state_dict().keys(), lora=lora, across=across)
    settings = _read_settings(values, contents)
    if lora:
        refuse_halves(contents)
        refuse_ranks(contents, settings.ranks)
        _refuse_loose_bias(contents, model)
        _name_modules(config, settings)
    with foreign_library(f"{files.folder}: does not fit the base", AdapterError):
        config = use_base_names(config, model, contents)
    weights, whole = match_peft_names(model, config, contents, files.folder)
    messages += [check_values(contents, settings), *find_differences(base, files, values)]
    return PeftAdapter(
        files,
        str(values["peft_type"]),
        describe_kind(values),
        settings,
        contents,
        whole,
        tuple(filter(None, messages)),
        config,
        weights,
    )


def _refuse_other_shapes_of_base(base: CheckpointFiles, model: VisionLanguageModel) -> None:
    """Refuse a base whose tensors have other shapes than its configuration says.

    Raises: CheckpointError.
    """
    expected = model.state_dict()
    mismatches = [
        f"{name} is {list(stored.shape)}, the configuration's {list(expected[name].shape)}"
        for name, stored in read_tables(base.weights).items()
        if name in expected and stored.shape != expected[name].shape
    ]
    if mismatches:
        raise CheckpointError(
            f"{base.folder}: cannot be loaded: {len(mismatches)} weights do not fit its own"
            f" config.json: {shorten(mismatches)}"
        )


def _read_peft_config(files: CheckpointFiles) -> PeftConfig:
    """Read the configuration as PEFT does; options for the start of training are reset."""
    subject = f"{files.folder / CONFIG}: cannot be read"
    with foreign_library(subject, AdapterError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = PeftConfig.from_pretrained(str(files.folder))
    config.inference_mode = True
    for option, value in (("init_lora_weights", True), ("velora_config", None)):
        if hasattr(config, option):
            setattr(config, option, value)
    for option in ("rank_pattern", "alpha_pattern"):
        if hasattr(config, option):
            setattr(config, option, getattr(config, option) or {})
    return config


def _read_settings(values: Mapping[str, object], contents: AdapterContents) -> LoraSettings:
    """Read rank and alpha of each module, by the pattern that matches it as PEFT would.

    Patterns are written with the names that the modules had in training: those come first.
    """
    numbers = read_numbers(values)
    return LoraSettings(
        ranks=_by_module(numbers.rank_pattern, numbers.rank, contents),
        alphas=_by_module(numbers.alpha_pattern, numbers.alpha, contents),
        rslora=bool(values.get("use_rslora")),
        dora=bool(values.get("use_dora")),
        plain=not any(values.get(name) for name in ("use_dora", "fan_in_fan_out", "lora_bias")),
        base=recorded_base(values),
    )


def _by_module(
    patterns: Mapping[str, _Number], default: _Number, contents: AdapterContents
) -> dict[str, _Number]:
    return {
        name: _match_pattern(patterns, default, (contents.stored_names[name], *spellings(name)))
        for name in contents.modules
    }


def _match_pattern(
    patterns: Mapping[str, _Number], default: _Number, names: Sequence[str]
) -> _Number:
    for name in names:
        if (pattern := get_pattern_key(patterns.keys(), name)) in patterns:
            return patterns[pattern]
    return default


def _name_modules(config: PeftConfig, settings: LoraSettings) -> None:
    """Replace the configuration's patterns by the rank and alpha of each module of the base."""
    if config.rank_pattern:
        config.rank_pattern = _exceptions(settings.ranks, config.r)
    if config.alpha_pattern:
        config.alpha_pattern = _exceptions(settings.alphas, config.lora_alpha)


def _exceptions(values: Mapping[str, _Number], default: _Number) -> dict[str, _Number]:
    return {re.escape(name): value for name, value in values.items() if value != default}


def _refuse_loose_bias(contents: AdapterContents, model: VisionLanguageModel) -> None:
    names = model.state_dict().keys()
    loose = sorted(
        name
        for name, parts in contents.modules.items()
        if "lora_B.bias" in parts and f"{name}.bias" not in names
    )
    if loose:
        raise AdapterError(
            f"{contents.folder}: lora_bias: {shorten(loose)} has no bias in the base to add one to,"
            " and PEFT can't merge it"
        )
