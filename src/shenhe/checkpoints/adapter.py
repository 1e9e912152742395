"""The contents of an adapter, module by module, whatever trainer wrote it."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shenhe.checkpoints import lora
from shenhe.checkpoints.tensors import StoredTensor

PREFIX = "base_model.model."
LORA_PART = re.compile(
    r"\.(lora_(?:A|B|embedding_A|embedding_B|magnitude_vector))(?:\.weight|\.bias)?$"
)
_WRAPPER = re.compile(r"\.(?:base_layer|original_module|modules_to_save(?:\.default)?)(?=\.)")
"""Names that PEFT puts between a module's name and its tensor's during training."""
_ADAPTER_NAME = re.compile(r"\.(lora_\w+?)\.default(?=\.|$)")
"""PEFT's name of the adapter, which keys hold if a trainer saved the model's own state."""
_SEGMENT = "language_model."
"""Older and newer trainers name the language model's modules with or without this."""


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """How an adapter is merged.

    `ranks` and `alphas` are by module, named as in the base. `plain`: nothing but A, B and a factor
    decides the result. `base` is the base that the adapter's configuration records.
    """

    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    rslora: bool
    dora: bool
    plain: bool
    base: str

    def scaling(self, name: str) -> float:
        """Compute the factor of a module's B @ A."""
        return lora.scaling(self.ranks[name], self.alphas[name], rslora=self.rslora)


@dataclass(frozen=True, slots=True)
class AdapterContents:
    """The tensors of an adapter by the names of its base.

    `modules` holds LoRA weights by module and by name within it (`lora_A.weight`), `replaced` the
    tensors that take the place of the base's, and `peft_keys` those that only PEFT can interpret.
    `stored_names` gives the name of each module in the adapter's own file.
    """

    folder: Path
    modules: dict[str, dict[str, StoredTensor]] = field(default_factory=dict)
    replaced: dict[str, StoredTensor] = field(default_factory=dict)
    peft_keys: dict[str, StoredTensor] = field(default_factory=dict)
    stored_names: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KeyTarget:
    """The part of the base that an adapter's key is about.

    `name` is a module and `part` a name within it; or a whole tensor, with an empty `part`.
    """

    name: str
    part: str
    stored_name: str


def resolve_key(
    key: str, base_names: Container[str], module_names: Container[str]
) -> KeyTarget | None:
    """Find the module or tensor of the base that a key is about, or None.

    `module_names` are those of all modules of the base, containers included.
    """
    name = _ADAPTER_NAME.sub(r".\1", _WRAPPER.sub("", key).removeprefix(PREFIX))
    if tensor := name_in_base(name, base_names):
        return KeyTarget(tensor, "", name)
    parent = name
    while "." in parent:
        parent = parent.rpartition(".")[0]
        if module := name_in_base(parent, module_names):
            return KeyTarget(module, name[len(parent) + 1 :], parent)
    return None


def name_in_base(name: str, base_names: Container[str]) -> str | None:
    """Find the name of a module or a tensor in the base, or None."""
    return next((spelling for spelling in _base_spellings(name) if spelling in base_names), None)


def _base_spellings(name: str) -> Iterator[str]:
    """Yield the names that a module may have in a base."""
    names = [name, name.replace("language_model.model.", "model.language_model.", 1)]
    if _SEGMENT in name:
        names.append(name.replace(_SEGMENT, "", 1))
    head, dot, tail = name.partition("model.")
    if dot:
        names.append(f"{head}model.{_SEGMENT}{tail}")
    names += [spelling.removeprefix("model.") for spelling in names]
    yield from names
    yield from (f"model.{spelling}" for spelling in names)


def spellings(name: str) -> tuple[str, ...]:
    """List the names of a base's module in this and in older versions of transformers.

    >>> spellings("model.language_model.layers.0")[2:4]
    ('model.layers.0', 'language_model.model.layers.0')
    """
    inner = name.removeprefix("model.")
    if not inner.startswith(_SEGMENT):
        return name, inner
    tail = inner.removeprefix(_SEGMENT)
    return name, inner, f"model.{tail}", f"{_SEGMENT}model.{tail}", tail
