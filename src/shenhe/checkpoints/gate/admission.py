"""Letting an adapter in: every question that load, merge, verify and doctor have, asked once."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from peft import PeftConfig
from peft.utils.other import get_pattern_key

from shenhe.checkpoints.adapter import AdapterContents, LoraSettings, spellings
from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.gate.configuration import (
    CONFIG,
    LORA,
    kind_of,
    read_configuration,
    refuse_unknown_options,
)
from shenhe.checkpoints.gate.side_files import refuse_side_files
from shenhe.checkpoints.gate.structure import (
    Placed,
    empty_model,
    place,
    with_names_of_base,
)
from shenhe.checkpoints.gate.weights import (
    look_at_values,
    read_contents,
    refuse_halves,
    refuse_ranks,
    some,
)
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import read_tables
from shenhe.errors import AdapterError, CheckpointError


@dataclass(frozen=True, slots=True)
class AdmittedAdapter:
    """An adapter that is whole, is of a kind that can be loaded and merged, and fits its base.

    `config` is PEFT's, with the base's names; `placed` are its tensors by PEFT's names; `contents`
    the same by the base's. `warnings` are what is to be told of it.
    """

    files: CheckpointFiles
    kind: str
    settings: LoraSettings
    config: PeftConfig
    contents: AdapterContents
    placed: Placed
    warnings: tuple[str, ...]


def admit_adapters(
    base: CheckpointFiles, adapters: Sequence[CheckpointFiles]
) -> list[AdmittedAdapter]:
    """Let adapters in, in order, or refuse the first one that is not what it should be.

    No weights of the base are read, those of the adapters once.
    Raises: AdapterError in one line that names the thing and what to do; CheckpointError where the
    base is at fault.
    """
    if not adapters:
        return []
    admitted = [_admit(base, files) for files in adapters]
    for number, later in enumerate(admitted):
        whole = {name.rpartition(".")[0] for name in later.placed.whole}
        for earlier in admitted[:number]:
            if both := sorted(whole & earlier.contents.modules.keys()):
                raise AdapterError(
                    f"{later.files.folder}: holds {some(both)} whole, which {earlier.files.folder}"
                    " before it adapts: one of the two would be lost"
                )
    return admitted


def refuse_together(adapters: Sequence[AdmittedAdapter]) -> None:
    """Refuse adapters that can't be at work at the same time; they can be merged one by one.

    Raises: AdapterError that names the two.
    """
    for number, later in enumerate(adapters):
        for earlier in adapters[:number]:
            whole = later.contents.replaced.keys() & earlier.contents.replaced.keys()
            if later.config.peft_type != earlier.config.peft_type:
                why = f"one is {earlier.kind}, the other {later.kind}"
            elif whole:
                why = f"both hold {some(sorted(whole))} whole"
            else:
                continue
            raise AdapterError(
                f"{earlier.files.folder} and {later.files.folder} can't be at work together: {why};"
                " merge one (shenhe merge), and give the other on top of the result"
            )


def _admit(base: CheckpointFiles, files: CheckpointFiles) -> AdmittedAdapter:
    values = read_configuration(files.folder)
    refuse_side_files(files.folder, files.weights)
    lora = values["peft_type"] == LORA
    across = bool(values.get("target_parameters"))
    config = _peft_config(files)
    known = {field.name for field in dataclasses.fields(config)}
    told = [refuse_unknown_options(files.folder / CONFIG, values, known)]
    model = empty_model(base)
    _refuse_other_base(base, model)
    contents = read_contents(files, model.state_dict().keys(), lora=lora, across=across)
    settings = _settings(values, contents)
    if lora:
        refuse_halves(contents)
        refuse_ranks(contents, settings.ranks)
        _refuse_loose_bias(contents, model)
        config = _with_modules(config, settings)
    with foreign_library(f"{files.folder}: does not fit the base", AdapterError):
        config = with_names_of_base(config, model, contents)
    placed = place(model, config, contents, files.folder)
    idle = not any(settings.alphas.values()) and not (contents.replaced or contents.others)
    if not look_at_values(contents) or idle:
        told.append(
            f"{files.folder}: all its weights are zero: it changes nothing, the base answers"
        )
    return AdmittedAdapter(
        files, kind_of(values), settings, config, contents, placed, tuple(filter(None, told))
    )


def _refuse_other_base(base: CheckpointFiles, model: Any) -> None:
    """Refuse a base whose tensors are not those that its configuration speaks of.

    Raises: CheckpointError.
    """
    expected = model.state_dict()
    odd = [
        f"{name} is {list(stored.shape)}, the configuration's {list(expected[name].shape)}"
        for name, stored in read_tables(base.weights).items()
        if name in expected and stored.shape != expected[name].shape
    ]
    if odd:
        raise CheckpointError(
            f"{base.folder}: cannot be loaded: {len(odd)} weights do not fit its own config.json:"
            f" {some(odd)}"
        )


def _peft_config(files: CheckpointFiles) -> PeftConfig:
    """Read the configuration as PEFT does; how training began is of no account any more."""
    what = f"{files.folder / CONFIG}: cannot be read"
    with foreign_library(what, AdapterError), warnings.catch_warnings():
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


def _settings(values: Mapping[str, Any], contents: AdapterContents) -> LoraSettings:
    """Tell rank and factor of each module, by the pattern that names it as PEFT matches them.

    Patterns are written with the names that the modules had in training: those come first.
    """

    def by_module(option: str, usual: str) -> dict[str, Any]:
        patterns = values.get(option) or {}
        return {
            name: _matched(
                patterns, (contents.written[name], *spellings(name)), values.get(usual, 0)
            )
            for name in contents.modules
        }

    return LoraSettings(
        ranks=by_module("rank_pattern", "r"),
        alphas=by_module("alpha_pattern", "lora_alpha"),
        rslora=bool(values.get("use_rslora")),
        dora=bool(values.get("use_dora")),
        plain=not any(values.get(name) for name in ("use_dora", "fan_in_fan_out", "lora_bias")),
        base=str(values.get("base_model_name_or_path") or ""),
    )


def _matched(patterns: Mapping[str, Any], names: Sequence[str], usual: Any) -> Any:
    for name in names:
        if (pattern := get_pattern_key(patterns.keys(), name)) in patterns:
            return patterns[pattern]
    return usual


def _with_modules(config: Any, settings: LoraSettings) -> Any:
    """Say each module's rank and factor by its name in the base, where patterns say them."""
    if config.rank_pattern:
        config.rank_pattern = _unlike(settings.ranks, config.r)
    if config.alpha_pattern:
        config.alpha_pattern = _unlike(settings.alphas, config.lora_alpha)
    return config


def _unlike(values: Mapping[str, Any], usual: Any) -> dict[str, Any]:
    return {re.escape(name): value for name, value in values.items() if value != usual}


def _refuse_loose_bias(contents: AdapterContents, model: Any) -> None:
    names = model.state_dict().keys()
    loose = sorted(
        name
        for name, parts in contents.modules.items()
        if "lora_B.bias" in parts and f"{name}.bias" not in names
    )
    if loose:
        raise AdapterError(
            f"{contents.folder}: lora_bias: {some(loose)} has no bias in the base to add one to,"
            " and PEFT can't merge it"
        )
