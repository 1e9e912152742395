"""Adapters that the gate has admitted, and the refusal of those that cannot work together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shenhe.checkpoints.adapter import AdapterContents, LoraSettings
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import StoredTensor, shorten
from shenhe.errors import AdapterError


@dataclass(frozen=True, slots=True)
class AdmittedAdapter:
    """An adapter that is complete, of a kind that can be loaded and merged, and fits its base.

    `peft_type` is PEFT's name of its kind, `kind` that name and what makes it more than LoRA on one
    module at a time. `whole` are tensors that replace the base's and have no name in PEFT.
    `warnings` are for the user.

    Example:
        (adapter,) = admit_adapters(find_checkpoint("base"), [find_adapter("lora")])
        print(adapter.kind, *adapter.warnings)

    """

    files: CheckpointFiles
    peft_type: str
    kind: str
    settings: LoraSettings
    contents: AdapterContents
    whole: dict[str, StoredTensor]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeftAdapter(AdmittedAdapter):
    """An adapter with what PEFT needs to load it.

    `config` is PEFT's configuration, with module names of the base; `weights` are the tensors by
    PEFT's names.

    Example:
        (adapter,) = admit_for_peft(find_checkpoint("base"), [find_adapter("lora")])
        adapter.weights.keys()

    """

    config: object
    weights: dict[str, StoredTensor]


def refuse_lost_tensors(adapters: Sequence[AdmittedAdapter]) -> None:
    """Refuse an adapter that replaces a tensor which one before it adapts.

    Raises: AdapterError that names the two.
    """
    for number, later in enumerate(adapters):
        replaced = {name.rpartition(".")[0] for name in later.whole}
        for earlier in adapters[:number]:
            if both := sorted(replaced & earlier.contents.modules.keys()):
                raise AdapterError(
                    f"{later.files.folder}: holds {shorten(both)} whole, which"
                    f" {earlier.files.folder} before it adapts: one of the two would be lost"
                )


def refuse_together(adapters: Sequence[AdmittedAdapter]) -> None:
    """Refuse adapters that cannot be active at the same time; they can be merged one by one.

    Raises: AdapterError that names the two.

    Example:
        refuse_together(admit_adapters(base, [first, second]))

    """
    for number, later in enumerate(adapters):
        for earlier in adapters[:number]:
            whole = later.contents.replaced.keys() & earlier.contents.replaced.keys()
            if later.peft_type != earlier.peft_type:
                reason = f"one is {earlier.kind}, the other {later.kind}"
            elif whole:
                reason = f"both hold {shorten(sorted(whole))} whole"
            else:
                continue
            raise AdapterError(
                f"{earlier.files.folder} and {later.files.folder} can't be at work together:"
                f" {reason}; merge one (shenhe merge), and give the other on top of the result"
            )
