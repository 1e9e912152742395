"""What an adapter holds, module by module, whatever trainer wrote it."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.checkpoints.tensors import StoredTensor

PREFIX = "base_model.model."
LORA_PART = re.compile(
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
    """What decides how an adapter is merged; `plain` where nothing but A, B and a factor does.

    `ranks` and `alphas` are by module, as the base names it.
    """

    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    rslora: bool
    dora: bool
    plain: bool
    base: str

    def scaling(self, name: str) -> float:
        """Give what a module's B @ A is multiplied by (source: PEFT)."""
        rank, alpha = self.ranks[name], self.alphas[name]
        return alpha / math.sqrt(rank) if self.rslora else alpha / rank


@dataclass(frozen=True, slots=True)
class AdapterContents:
    """An adapter by the names of its base: LoRA weights by module and by their names within it,
    tensors that replace the base's whole, and what PEFT knows by other names (`others`).

    `written` gives the name that each module has in the adapter's own file.
    """

    folder: Path
    modules: dict[str, dict[str, StoredTensor]] = field(default_factory=dict)
    replaced: dict[str, StoredTensor] = field(default_factory=dict)
    others: dict[str, StoredTensor] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Located:
    """Where a key of an adapter belongs: a module of the base, and what of it (`part`).

    The part of a tensor that replaces the base's own is empty, its name then the tensor's.
    """

    name: str
    part: str
    written: str


def locate(key: str, base_names: Container[str], prefixes: Container[str]) -> Located | None:
    """Find what a key of an adapter is about in its base, or None.

    `prefixes` are the names of all modules of the base, those that hold others too.
    """
    name = _DEFAULT.sub(r".\1", _WRAPPING.sub("", key).removeprefix(PREFIX))
    if whole := name_in_base(name, base_names):
        return Located(whole, "", name)
    head = name
    while "." in head:
        head = head.rpartition(".")[0]
        if module := name_in_base(head, prefixes):
            return Located(module, name[len(head) + 1 :], head)
    return None


def name_in_base(name: str, base_names: Container[str]) -> str | None:
    """Find what a module or a tensor is called in the base, or None."""
    candidates = [name, name.replace("language_model.model.", "model.language_model.", 1)]
    if _SEGMENT in name:
        candidates.append(name.replace(_SEGMENT, "", 1))
    head, dot, rest = name.partition("model.")
    if dot:
        candidates.append(f"{head}model.{_SEGMENT}{rest}")
    candidates += [candidate.removeprefix("model.") for candidate in candidates]
    candidates += [f"model.{candidate}" for candidate in candidates]
    return next((c for c in candidates if c in base_names), None)


def spellings(name: str) -> tuple[str, ...]:
    """Give what a module of a base has been called by transformers of other times, its own first.

    >>> spellings("model.language_model.layers.0")[2:4]
    ('model.layers.0', 'language_model.model.layers.0')
    """
    inner = name.removeprefix("model.")
    if not inner.startswith(_SEGMENT):
        return name, inner
    rest = inner.removeprefix(_SEGMENT)
    return name, inner, f"model.{rest}", f"{_SEGMENT}model.{rest}", rest
