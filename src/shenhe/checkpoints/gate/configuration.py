"""What an adapter's configuration says, read strictly, and the kinds that are refused by it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from shenhe.checkpoints.foreign_code import foreign_library
from shenhe.checkpoints.tensors import once
from shenhe.errors import AdapterError

CONFIG: Final = "adapter_config.json"
LORA: Final = "LORA"
OTHERS: Final = (
    *("ADALORA", "BOFT", "C3A", "DELORA", "FOURIERFT", "GRALORA", "HIRA", "HRA", "IA3"),
    *("LN_TUNING", "LOHA", "LOKR", "MISS", "OFT", "RANDLORA", "TRAINABLE_TOKENS", "VERA"),
)
"""Kinds beside LoRA that are the same model saved, loaded and merged by PEFT, as tests hold."""
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
"""Options by which an adapter is no longer B @ A on the base as it lies there, and why not."""
HARMLESS: Final = ("gaussian", "eva", "orthogonal", "mica")
"""Ways to begin a LoRA that leave the base as it is (source: peft/tuners/lora/layer.py)."""
OF_TRAINING: Final = (
    "lora_dtype",
    "lorap_lr_ratio",
    "lorap_emb_lr",
    "merge_weights",
    "runtime_config",
)
"""What trainers add to PEFT's own options, and no model depends on."""

_Check = Callable[[Any], bool]


def _flag(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _whole(value: Any) -> bool:
    return type(value) is int and value > 0


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _texts(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(v, str) for v in value))


def _text(value: Any) -> bool:
    return isinstance(value, str) or _texts(value)


def _indices(value: Any) -> bool:
    one = isinstance(value, int) and not isinstance(value, bool)
    return value is None or one or (isinstance(value, list) and all(type(v) is int for v in value))


def _pattern(check: _Check) -> _Check:
    def holds(value: Any) -> bool:
        return value is None or (isinstance(value, dict) and all(map(check, value.values())))

    return holds


_TYPES: Final[Mapping[str, tuple[_Check, str]]] = {
    "r": (_whole, "a whole number from 1"),
    "lora_alpha": (_number, "a number, 0 or more"),
    "rank_pattern": (_pattern(_whole), "whole numbers from 1 by module"),
    "alpha_pattern": (_pattern(_number), "numbers, 0 or more, by module"),
    "use_rslora": (_flag, "true or false"),
    "use_dora": (_flag, "true or false"),
    "fan_in_fan_out": (_flag, "true or false"),
    "lora_bias": (_flag, "true or false"),
    "bias": (lambda value: value in ("none", "all", "lora_only"), "none, all or lora_only"),
    "target_modules": (_text, "a text or a list of texts"),
    "exclude_modules": (_text, "a text or a list of texts"),
    "modules_to_save": (_texts, "a list of texts"),
    "target_parameters": (_texts, "a list of texts"),
    "layers_pattern": (_text, "a text or a list of texts"),
    "layers_to_transform": (_indices, "a number or a list of numbers"),
}
_ALWAYS: Final = ("r", "lora_alpha")


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read an adapter's configuration, and refuse the kinds that no command here may use.

    Raises: AdapterError that names the option and what it must be.
    """
    path = folder / CONFIG
    with foreign_library(f"{path}: cannot be read", AdapterError):
        values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=once)
    if not isinstance(values, dict):
        raise AdapterError(f"{path}: is not a JSON object")
    _refuse_kind(path, values)
    if values["peft_type"] == LORA:
        _refuse_types(path, values)
        for option, why in REFUSED.items():
            if values.get(option):
                raise AdapterError(f"{path}: {option} is set: {why}; it is refused")
    _refuse_initialisation(path, values)
    return values


def kind_of(values: Mapping[str, Any]) -> str:
    """Say "LoRA" of what changes one module at a time, else what it is that does not."""
    if values["peft_type"] != LORA:
        return str(values["peft_type"])
    return next((f"LoRA with {option}" for option in ACROSS if values.get(option)), "LoRA")


def refuse_unknown_options(path: Path, values: Mapping[str, Any], known: set[str]) -> str:
    """Refuse options that this PEFT does not know and that may change what an adapter does.

    Returns: a warning about those that are only passed over, or an empty text.
    Raises: AdapterError.
    """
    unknown = {key for key in values if key not in known and key not in OF_TRAINING}
    telling = sorted(key for key in unknown if values[key])
    changing = [key for key in telling if isinstance(values[key], (bool, dict, list))]
    if changing:
        raise AdapterError(
            f"{path}: {', '.join(changing[:5])}: options that the installed PEFT does not know;"
            " a newer one may (pip install -U peft)"
        )
    return f"{path}: passed over, as PEFT does: {', '.join(telling[:5])}" if telling else ""


def _refuse_kind(path: Path, values: Mapping[str, Any]) -> None:
    kind = values.get("peft_type")
    if kind == LORA or kind in OTHERS:
        return
    if kind in PROMPTS:
        raise AdapterError(
            f"{path}: a {kind} adapter, which adds no weights but prompts; that kind cannot be"
            " merged, and is refused"
        )
    known = ", ".join((LORA, *OTHERS))
    raise AdapterError(
        f"{path}: peft_type {str(kind)[:40]!r}: that kind cannot be merged, and is refused; known"
        f" are {known}"
    )


def _refuse_types(path: Path, values: Mapping[str, Any]) -> None:
    for option, (check, wanted) in _TYPES.items():
        if option not in values and option not in _ALWAYS:
            continue
        if not check(values.get(option)):
            told = json.dumps(values.get(option))[:60]
            raise AdapterError(f"{path}: {option} is {told}; it must be {wanted}")
    targets = values.get("target_modules")
    patterns = [*(values.get("rank_pattern") or {}), *(values.get("alpha_pattern") or {})]
    patterns += [text for text in (targets, values.get("exclude_modules")) if isinstance(text, str)]
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise AdapterError(f"{path}: {pattern!r} is no pattern: {error}") from error


def _refuse_initialisation(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse adapters that were trained on a base that their beginning had changed.

    What was trained is a residual, made of the base by a decomposition; in another precision or on
    another machine it is another one, and the result would not be the model that was trained.
    """
    begun = values.get("init_lora_weights", True)
    if begun is None or isinstance(begun, bool) or begun in HARMLESS:
        return
    converted = path.parent / "converted" / "default"
    place = f": here, {converted}" if (converted / CONFIG).is_file() else ""
    raise AdapterError(
        f"{path}: init_lora_weights is {str(begun)[:40]!r}: it changed the base before training,"
        " and the adapter alone does not say how; give the one that PEFT converts (save_pretrained"
        " with path_initial_model_for_weight_conversion, 'converted' of ms-swift, 'pissa_converted'"
        f" of LLaMA-Factory){place}, or merge it where it was trained"
    )
