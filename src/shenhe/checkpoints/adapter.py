"""What an adapter holds, module by module, whatever trainer wrote it."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import StoredTensor, read_table
from shenhe.errors import AdapterError

PREFIX = "base_model.model."
CONFIG = "adapter_config.json"
ACROSS = ("target_parameters", "layer_replication", "trainable_token_indices")
"""Options of LoRA that reach beyond the matrix of one module."""
VARIANTS = (
    *("use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora"),
    *("velora_config", "monteclora_config", "arrow_config", "kasa_config"),
)
"""Options of PEFT by which more than B @ A and a factor is added to a matrix."""
_LORA = re.compile(
    r"\.(lora_(?:A|B|embedding_A|embedding_B|magnitude_vector))(?:\.weight|\.bias)?$"
)
_WRAPPING = re.compile(r"\.(?:base_layer|original_module|modules_to_save(?:\.default)?)(?=\.)")
"""What PEFT puts between a module's name and its tensor's while it trains."""
_DEFAULT = re.compile(r"\.(lora_\w+?)\.default(?=\.|$)")
"""Where a trainer saved the model's own state, PEFT's name of the adapter stands within."""
_SEGMENT = "language_model."
"""Trainers of other times name the language model's modules with or without this."""


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """What decides how an adapter is merged; `plain` where nothing but A, B and a factor does."""

    rank: int
    alpha: float
    ranks: dict[str, int]
    alphas: dict[str, float]
    rslora: bool
    dora: bool
    plain: bool
    base: str

    def scaling(self, name: str) -> float:
        """Give what a module's B @ A is multiplied by.

        Source: PEFT; patterns match the end of a module's name, the first that does counts.
        """
        rank = self.ranks.get(_pattern_of(self.ranks, name), self.rank)
        alpha = self.alphas.get(_pattern_of(self.alphas, name), self.alpha)
        return alpha / math.sqrt(rank) if self.rslora else alpha / rank


@dataclass(frozen=True, slots=True)
class AdapterContents:
    """An adapter: LoRA weights by module and by their names within it, and tensors that replace
    the base's whole."""

    folder: Path
    config: LoraSettings
    modules: dict[str, dict[str, StoredTensor]]
    replaced: dict[str, StoredTensor]


def read_adapter(files: CheckpointFiles, base_names: Container[str]) -> AdapterContents:
    """Read an adapter's table against the names of its base's tensors.

    Raises: AdapterError that names every weight that matches nothing in the base.
    """
    config = read_config(files)
    modules: dict[str, dict[str, StoredTensor]] = defaultdict(dict)
    replaced: dict[str, StoredTensor] = {}
    odd: list[str] = []
    for path in files.weights:
        for key, stored in read_table(path).items():
            name = name_in_base(_WRAPPING.sub("", key), base_names)
            if name is None:
                odd.append(key)
            elif found := _LORA.search(name):
                modules[name[: found.start()]][name[found.start() + 1 :]] = stored
            else:
                replaced[name] = stored
    if odd:
        raise AdapterError(
            f"{files.folder}: {len(odd)} weights match nothing in the base: {', '.join(odd[:5])}"
            f"{' ...' if len(odd) > 5 else ''}; was it trained on another base?"
        )
    return AdapterContents(files.folder, config, dict(modules), replaced)


def adapter_kind(files: CheckpointFiles) -> str:
    """Say "LoRA" of what changes one module at a time, else what it is that does not.

    Raises: AdapterError if the configuration cannot be read.
    """
    path = files.folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.get("peft_type") != "LORA":
            return f"{config.get('peft_type')}"
    except (OSError, ValueError, AttributeError) as error:
        raise AdapterError(f"{path}: cannot be read: {error}") from error
    return next((f"LoRA with {option}" for option in ACROSS if config.get(option)), "LoRA")


def read_config(files: CheckpointFiles) -> LoraSettings:
    """Read the configuration of a LoRA adapter, as PEFT writes it.

    Raises: AdapterError if it cannot be read.
    """
    path = files.folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return LoraSettings(
            rank=int(config["r"]),
            alpha=float(config["lora_alpha"]),
            ranks={str(k): int(v) for k, v in (config.get("rank_pattern") or {}).items()},
            alphas={str(k): float(v) for k, v in (config.get("alpha_pattern") or {}).items()},
            rslora=bool(config.get("use_rslora")),
            dora=bool(config.get("use_dora")),
            plain=not any(config.get(option) for option in VARIANTS),
            base=str(config.get("base_model_name_or_path") or ""),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdapterError(f"{path}: cannot be read: {error}") from error


def name_in_base(key: str, base_names: Container[str]) -> str | None:
    """Give what an adapter's weight is called with its base's own names, or None.

    The prefix that PEFT puts before all of them is left out.
    """
    name = _DEFAULT.sub(r".\1", key.removeprefix(PREFIX))
    if found := _LORA.search(name):
        module = _in_base(name[: found.start()], base_names, ".weight")
        return None if module is None else module + name[found.start() :]
    return _in_base(name, base_names, "")


def _pattern_of(patterns: Iterable[str], name: str) -> str:
    return next((p for p in patterns if re.match(rf"(.*\.)?({p})$", name)), name)


def _in_base(name: str, base_names: Container[str], suffix: str) -> str | None:
    """Find what a module is called in the base, or None."""
    candidates = [name]
    if _SEGMENT in name:
        candidates.append(name.replace(_SEGMENT, "", 1))
    head, dot, rest = name.partition("model.")
    if dot:
        candidates.append(f"{head}model.{_SEGMENT}{rest}")
    candidates += [candidate.removeprefix("model.") for candidate in candidates]
    candidates += [f"model.{candidate}" for candidate in candidates]
    return next((c for c in candidates if c + suffix in base_names), None)
