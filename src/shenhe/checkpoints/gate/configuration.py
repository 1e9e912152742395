"""An adapter's configuration, read strictly, and the kinds that are refused by it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.errors import AdapterError
from shenhe.json_keys import refuse_repeated_keys

CONFIG: Final = "adapter_config.json"
LORA: Final = "LORA"
BEYOND_LORA: Final = (
    *("ADALORA", "BOFT", "C3A", "DELORA", "FOURIERFT", "GRALORA", "HIRA", "HRA", "IA3"),
    *("LN_TUNING", "LOHA", "LOKR", "MISS", "OFT", "RANDLORA", "TRAINABLE_TOKENS", "VERA"),
)
"""Kinds besides LoRA whose model stays the same when PEFT saves, loads and merges it (tested)."""
PROMPTS: Final = (
    *("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"),
    *("ADAPTION_PROMPT", "CPT", "CARTRIDGE"),
)
ACROSS: Final = ("target_parameters", "trainable_token_indices")
"""Options of LoRA that reach beyond the matrix of one module."""
REFUSED: Final = {
    "alora_invocation_tokens": "activated LoRA works behind its invocation tokens only, and PEFT"
    " can't merge it",
    "arrow_config": "arrow routes between other adapters, and PEFT can't merge it",
    "use_qalora": "QALoRA belongs to a GPTQ base, and PEFT can't merge it",
    "kasa_config": "KaSA changes the base, and PEFT cuts it anew on every machine",
    "monteclora_config": "MonteCLoRA draws its weights at random",
    "use_bdlora": "block-diagonal LoRA is cut for one way to serve it",
    "megatron_config": "it adapts layers of Megatron, not of a checkpoint for transformers",
    "layer_replication": "it repeats layers of the base",
}
"""Options that make an adapter something else than B @ A on the base as it is stored, and why."""
HARMLESS: Final = ("gaussian", "eva", "orthogonal", "mica")
"""Initialisations that leave the base as it is (source: peft/tuners/lora/layer.py)."""
OF_TRAINING: Final = (
    "lora_dtype",
    "lorap_lr_ratio",
    "lorap_emb_lr",
    "merge_weights",
    "runtime_config",
)
"""Options that trainers add to PEFT's own, and that no model depends on."""

_Check = Callable[[object], bool]


def _is_flag(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _is_positive_int(value: object) -> bool:
    return type(value) is int and value > 0


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value >= 0


def _is_text_list(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(v, str) for v in value))


def _is_text_or_list(value: object) -> bool:
    return isinstance(value, str) or _is_text_list(value)


def _is_index_or_list(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return value is None or all(type(index) is int for index in values)


def _maps_to(check: _Check) -> _Check:
    def check_values(value: object) -> bool:
        return value is None or (isinstance(value, dict) and all(map(check, value.values())))

    return check_values


_TYPES: Final[Mapping[str, tuple[_Check, str]]] = {
    "r": (_is_positive_int, "a whole number from 1"),
    "lora_alpha": (_is_number, "a number, 0 or more"),
    "rank_pattern": (_maps_to(_is_positive_int), "whole numbers from 1 by module"),
    "alpha_pattern": (_maps_to(_is_number), "numbers, 0 or more, by module"),
    "use_rslora": (_is_flag, "true or false"),
    "use_dora": (_is_flag, "true or false"),
    "fan_in_fan_out": (_is_flag, "true or false"),
    "lora_bias": (_is_flag, "true or false"),
    "bias": (lambda value: value in ("none", "all", "lora_only"), "none, all or lora_only"),
    "target_modules": (_is_text_or_list, "a text or a list of texts"),
    "exclude_modules": (_is_text_or_list, "a text or a list of texts"),
    "modules_to_save": (_is_text_list, "a list of texts"),
    "target_parameters": (_is_text_list, "a list of texts"),
    "layers_pattern": (_is_text_or_list, "a text or a list of texts"),
    "layers_to_transform": (_is_index_or_list, "a number or a list of numbers"),
}
_REQUIRED: Final = ("r", "lora_alpha")


def read_configuration(folder: Path) -> dict[str, object]:
    """Read an adapter's configuration, and refuse the kinds that cannot be used.

    Raises: AdapterError that names the option and its valid values.
    """
    path = folder / CONFIG
    with foreign_library(f"{path}: cannot be read", AdapterError):
        values = json.loads(
            path.read_text(encoding="utf-8"), object_pairs_hook=refuse_repeated_keys
        )
    if not isinstance(values, dict):
        raise AdapterError(f"{path}: is not a JSON object")
    _refuse_kind(path, values)
    if values["peft_type"] == LORA:
        _refuse_types(path, values)
        for option, reason in REFUSED.items():
            if values.get(option):
                raise AdapterError(f"{path}: {option} is set: {reason}; it is refused")
    _refuse_initialisation(path, values)
    return values


class LoraNumbers(NamedTuple):
    """Rank and alpha of an adapter, and the patterns of modules that have their own."""

    rank: int
    alpha: float
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]


def read_numbers(values: Mapping[str, object]) -> LoraNumbers:
    """Read rank and alpha; kinds without them have 0."""
    rank, alpha = values.get("r"), values.get("lora_alpha")
    ranks, alphas = values.get("rank_pattern"), values.get("alpha_pattern")
    return LoraNumbers(
        rank if isinstance(rank, int) else 0,
        alpha if isinstance(alpha, int | float) else 0,
        ranks if isinstance(ranks, dict) else {},
        alphas if isinstance(alphas, dict) else {},
    )


def recorded_base(values: Mapping[str, object]) -> str:
    """Read the base that an adapter was trained on; empty if it is not recorded."""
    return str(values.get("base_model_name_or_path") or "")


def describe_kind(values: Mapping[str, object]) -> str:
    """Name an adapter's kind: "LoRA" only if it changes one module at a time."""
    if values["peft_type"] != LORA:
        return str(values["peft_type"])
    return next((f"LoRA with {option}" for option in ACROSS if values.get(option)), "LoRA")


def refuse_unknown_options(
    path: Path, values: Mapping[str, object], known_options: set[str]
) -> str:
    """Refuse options that the installed PEFT does not know and that may change the result.

    Returns: a warning about those that PEFT ignores, or an empty text.
    Raises: AdapterError.
    """
    unknown = {key for key in values if key not in known_options and key not in OF_TRAINING}
    switched_on = sorted(key for key in unknown if values[key])
    changing = [key for key in switched_on if isinstance(values[key], (bool, dict, list))]
    if changing:
        raise AdapterError(
            f"{path}: {', '.join(changing[:5])}: options that the installed PEFT does not know;"
            " a newer one may (pip install -U peft)"
        )
    if not switched_on:
        return ""
    return f"{path}: passed over, as PEFT does: {', '.join(switched_on[:5])}"


def _refuse_kind(path: Path, values: Mapping[str, object]) -> None:
    kind = values.get("peft_type")
    if kind == LORA or kind in BEYOND_LORA:
        return
    if kind in PROMPTS:
        raise AdapterError(
            f"{path}: a {kind} adapter, which adds no weights but prompts; that kind cannot be"
            " merged, and is refused"
        )
    supported = ", ".join((LORA, *BEYOND_LORA))
    raise AdapterError(
        f"{path}: peft_type {str(kind)[:40]!r}: that kind cannot be merged, and is refused; known"
        f" are {supported}"
    )


def _refuse_types(path: Path, values: Mapping[str, object]) -> None:
    for option, (check, valid) in _TYPES.items():
        if option not in values and option not in _REQUIRED:
            continue
        if not check(values.get(option)):
            text = json.dumps(values.get(option))[:60]
            raise AdapterError(f"{path}: {option} is {text}; it must be {valid}")
    numbers = read_numbers(values)
    regexes = (values.get("target_modules"), values.get("exclude_modules"))
    patterns = [*numbers.rank_pattern, *numbers.alpha_pattern]
    for pattern in patterns + [text for text in regexes if isinstance(text, str)]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise AdapterError(f"{path}: {pattern!r} is no pattern: {error}") from error


def _refuse_initialisation(path: Path, values: Mapping[str, object]) -> None:
    """Refuse adapters whose initialisation changed the base before training.

    They were trained on a residual of the base. Its decomposition differs with the precision and
    the machine, and the result would not be the model that was trained.
    """
    initialisation = values.get("init_lora_weights", True)
    if initialisation is None or isinstance(initialisation, bool) or initialisation in HARMLESS:
        return
    converted = path.parent / "converted" / "default"
    location = f": here, {converted}" if (converted / CONFIG).is_file() else ""
    raise AdapterError(
        f"{path}: init_lora_weights is {str(initialisation)[:40]!r}: it changed the base before"
        " training, and the adapter alone does not say how; give the one that PEFT converts"
        " (save_pretrained with path_initial_model_for_weight_conversion, 'converted' of ms-swift,"
        f" 'pissa_converted' of LLaMA-Factory){location}, or merge it where it was trained"
    )
