"""Admission of plain LoRA on linear layers without PEFT and transformers, which take 3 s to import.

Only what is beyond doubt is admitted here: known options alone, a base that is what its
configuration says, and exactly the matrices that the configuration names. PEFT judges the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from shenhe.checkpoints.adapter import AdapterContents, LoraSettings
from shenhe.checkpoints.gate.admitted import AdmittedAdapter
from shenhe.checkpoints.gate.base_shapes import BaseShapes, read_base_shapes
from shenhe.checkpoints.gate.configuration import (
    LORA,
    read_configuration,
    read_numbers,
    recorded_base,
)
from shenhe.checkpoints.gate.history import find_differences
from shenhe.checkpoints.gate.side_files import refuse_side_files
from shenhe.checkpoints.gate.weights import (
    check_values,
    read_contents,
    refuse_halves,
    refuse_ranks,
)
from shenhe.checkpoints.inspect import CheckpointFiles

_INTERPRETED: Final = frozenset(("peft_type", "r", "lora_alpha", "target_modules", "use_rslora"))
"""Options that decide the result, checked by `read_configuration`."""
_TEXTS: Final = frozenset(("base_model_name_or_path", "peft_version", "revision", "megatron_core"))
_FLAGS: Final = frozenset(
    (
        *("use_dora", "use_qalora", "use_bdlora", "fan_in_fan_out", "lora_bias"),
        "ensure_weight_tying",
    )
)
"""Options that are off if false or null."""
_CHOICES: Final[Mapping[str, tuple[object, ...]]] = {
    "bias": ("none",),
    "inference_mode": (True, False),
    "init_lora_weights": (True, False, "gaussian"),
    "qalora_group_size": (16,),
    "task_type": (None, "CAUSAL_LM", "SEQ_2_SEQ_LM", "FEATURE_EXTRACTION"),
    "rank_pattern": (None, {}),
    "alpha_pattern": (None, {}),
    "loftq_config": ({},),
    "modules_to_save": (None, []),
    "exclude_modules": (None, []),
}
"""Values that have no effect on the result."""
_NOT_LINEAR: Final = ("lm_head", "embed_tokens", "pos_embed")
"""Modules with a matrix that PEFT treats in their own ways."""


def admit_plain_lora(base: CheckpointFiles, files: CheckpointFiles) -> AdmittedAdapter | None:
    """Admit an adapter that is plain LoRA on linear layers beyond doubt.

    Returns: None if PEFT has to judge.
    Raises: AdapterError, in the words of the complete gate; CheckpointError if a weight file of the
    base is damaged.
    """
    values = read_configuration(files.folder)
    refuse_side_files(files.folder, files.weights)
    if values["peft_type"] != LORA or not all(map(_is_plain, values, values.values())):
        return None
    shapes = read_base_shapes(base)
    if shapes is None:
        return None
    contents = read_contents(files, shapes.weights, lora=True, across=False)
    numbers = read_numbers(values)
    settings = LoraSettings(
        ranks=dict.fromkeys(contents.modules, numbers.rank),
        alphas=dict.fromkeys(contents.modules, numbers.alpha),
        rslora=bool(values.get("use_rslora")),
        dora=False,
        plain=True,
        base=recorded_base(values),
    )
    refuse_halves(contents)
    refuse_ranks(contents, settings.ranks)
    if not _fits(contents, values.get("target_modules"), shapes):
        return None
    warnings = [check_values(contents, settings), *find_differences(base, files, values)]
    told = tuple(filter(None, warnings))
    return AdmittedAdapter(files, LORA, "LoRA", settings, contents, {}, told)


def _is_plain(option: str, value: object) -> bool:
    """Whether an option is interpreted here, off, or without an effect on the result."""
    if option in _INTERPRETED:
        return True
    if option in _CHOICES:
        return value in _CHOICES[option]
    if option in _FLAGS:
        return value is None or value is False
    if option == "lora_dropout":
        return isinstance(value, int | float) and 0 <= value <= 1
    if option in _TEXTS:
        return value is None or isinstance(value, str)
    if option == "auto_mapping":
        return value is None or isinstance(value, dict)
    return value is None


def _fits(contents: AdapterContents, targets: object, shapes: BaseShapes) -> bool:
    """Whether an adapter has A and B for exactly the linear layers that are targeted."""
    if contents.replaced or contents.peft_keys or not contents.modules:
        return False
    for name, parts in contents.modules.items():
        shape = shapes.weights.get(f"{name}.weight", ())
        if len(shape) != 2 or name.rpartition(".")[2] in _NOT_LINEAR:
            return False
        if parts.keys() != {"lora_A.weight", "lora_B.weight"}:
            return False
        lora_a, lora_b = parts["lora_A.weight"], parts["lora_B.weight"]
        if len(lora_a.shape) != 2 or len(lora_b.shape) != 2:
            return False
        if (lora_b.shape[0], lora_a.shape[1]) != shape:
            return False
    return _matches(targets, shapes.modules) == contents.modules.keys()


def _matches(targets: object, names: Iterable[str]) -> set[str]:
    """Find the modules that are targeted, by PEFT's rules (source: check_target_module_exists)."""
    if isinstance(targets, str) and targets.lower() != "all-linear":
        pattern = re.compile(targets)
        return {name for name in names if pattern.fullmatch(name)}
    if not isinstance(targets, list):
        return set()
    suffixes = tuple(f".{target}" for target in targets)
    return {name for name in names if name in targets or name.endswith(suffixes)}
