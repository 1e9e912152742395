"""Checks of an adapter's tensors: each fits the base, both halves are there, all can be added."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from shenhe.checkpoints.adapter import (
    LORA_PART,
    PREFIX,
    AdapterContents,
    KeyTarget,
    LoraSettings,
    resolve_key,
)
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import FLOAT8, StoredTensor, read_table, shorten
from shenhe.errors import AdapterError, CheckpointError

HALVES: Final = (
    ("lora_A.weight", "lora_B.weight"),
    ("lora_embedding_A", "lora_embedding_B"),
)
OUTER: Final = ("lora_B", "lora_embedding_B", "lora_magnitude_vector")


def read_contents(
    files: CheckpointFiles, names: Iterable[str], *, lora: bool, across: bool
) -> AdapterContents:
    """Assign every tensor of an adapter to a base, given the names of the base's tensors.

    For an adapter that reaches `across` modules (target_parameters) only PEFT knows the names.
    Raises: AdapterError that names tensors that match nothing, stand twice, are empty or rounded.
    """
    base_names = frozenset(names)
    module_names = {
        name.rsplit(".", dots)[0] for name in base_names for dots in range(name.count(".") + 1)
    }
    contents = AdapterContents(files.folder)
    unmatched: list[str] = []
    tables = _read_tables(files)
    if not tables:
        raise AdapterError(
            f"{files.folder}: holds no tensor: it was saved without its weights being gathered"
            " (ZeRO-3, FSDP); save it again"
        )
    for key, stored in tables.items():
        _refuse_empty_or_rounded(files, key, stored, lora=lora)
        target = None if across else resolve_key(key, base_names, module_names)
        if lora and not across and not _is_of_lora(target):
            unmatched.append(key)
        elif repeated := _assign(contents, key, target, stored):
            raise AdapterError(
                f"{files.folder}: {repeated} stands twice, under two names; keep one"
            )
    if unmatched:
        raise AdapterError(
            f"{files.folder}: {len(unmatched)} weights match nothing in the base:"
            f" {shorten(unmatched)}; was it trained on another base?"
        )
    return contents


def refuse_halves(contents: AdapterContents) -> None:
    """Refuse LoRA modules with only one of the two matrices.

    Raises: AdapterError that names the missing ones.
    """
    missing = [
        f"{name}.{absent}"
        for name, parts in contents.modules.items()
        for pair in HALVES
        for present, absent in (pair, pair[::-1])
        if present in parts and absent not in parts
    ]
    missing += [
        f"{name}.{HALVES[0][0]}"
        for name, parts in contents.modules.items()
        if not any(half in parts for pair in HALVES for half in pair)
    ]
    if missing:
        raise AdapterError(
            f"{contents.folder}: lacks weights for {len(missing)} places: {shorten(missing)}: half"
            " of a LoRA adds nothing; save it again"
        )


def refuse_ranks(contents: AdapterContents, ranks: Mapping[str, int]) -> None:
    """Refuse LoRA matrices of another rank than the configuration says.

    Raises: AdapterError.
    """
    for name, parts in contents.modules.items():
        for half_a, half_b in HALVES:
            if half_a not in parts:
                continue
            shape_a, shape_b = parts[half_a].shape, parts[half_b].shape
            if min(len(shape_a), len(shape_b)) < 2:
                raise AdapterError(
                    f"{contents.folder}: {name}.{half_a} and its other half have the shapes"
                    f" {list(shape_a)} and {list(shape_b)}: no matrices; save it again"
                )
            rank_a, rank_b = shape_a[0], shape_b[1]
            if {rank_a, rank_b} != {ranks[name]}:
                stored = rank_a if rank_a == rank_b else f"{rank_a} and {rank_b}"
                raise AdapterError(
                    f"{contents.folder}: does not fit the base: {name} has rank {stored}, the"
                    f" configuration says {ranks[name]} (r, rank_pattern): scaled by that, it is"
                    " not what was trained; take the adapter_config.json that was saved with it"
                )


def check_values(contents: AdapterContents, settings: LoraSettings) -> str:
    """Read every tensor once.

    Returns: a warning if the adapter changes nothing, or an empty text.
    Raises: AdapterError if a tensor holds NaN or infinity.
    """
    damaged: list[str] = []
    changes = False
    for name, parts in contents.modules.items():
        nonzero = {
            part: _has_nonzero(stored, f"{name}.{part}", damaged) for part, stored in parts.items()
        }
        outer = any(value for part, value in nonzero.items() if part.startswith(OUTER[:2]))
        inner = any(value for part, value in nonzero.items() if not part.startswith(OUTER))
        changes |= outer and inner
    for name, stored in (contents.replaced | contents.peft_keys).items():
        changes |= _has_nonzero(stored, name, damaged)
    if damaged:
        raise AdapterError(
            f"{contents.folder}: {len(damaged)} tensors hold NaN or infinity: {shorten(damaged)}:"
            " the training went wrong; go back to a checkpoint from before"
        )
    scaled_to_zero = not any(settings.alphas.values())
    if changes and not (scaled_to_zero and not contents.replaced and not contents.peft_keys):
        return ""
    return f"{contents.folder}: all its weights are zero: it changes nothing, the base answers"


def _read_tables(files: CheckpointFiles) -> dict[str, StoredTensor]:
    tables: dict[str, StoredTensor] = {}
    for path in files.weights:
        try:
            table = read_table(path)
        except CheckpointError as error:
            raise AdapterError(str(error)) from error
        if repeated := tables.keys() & table.keys():
            raise AdapterError(f"{files.folder}: {shorten(sorted(repeated))} stands in two files")
        tables |= table
    return tables


def _is_of_lora(target: KeyTarget | None) -> bool:
    """Whether a key is of a whole tensor, of LoRA on a module, or of trained tokens."""
    if target is None:
        return False
    part = f".{target.part}"
    return part == "." or bool(LORA_PART.fullmatch(part)) or part.startswith(".token_adapter.")


def _assign(
    contents: AdapterContents, key: str, target: KeyTarget | None, stored: StoredTensor
) -> str | None:
    """Put a tensor where it belongs; return its name if another has that already."""
    if target is None:
        tensors, name = contents.peft_keys, key
    elif not target.part:
        tensors, name = contents.replaced, target.name
    elif LORA_PART.fullmatch(f".{target.part}"):
        tensors, name = contents.modules.setdefault(target.name, {}), target.part
    else:
        tensors, name = contents.peft_keys, f"{PREFIX}{target.name}.{target.part}"
    if name in tensors:
        return name
    tensors[name] = stored
    if target and target.part:
        contents.stored_names.setdefault(target.name, target.stored_name)
    return None


def _refuse_empty_or_rounded(
    files: CheckpointFiles, key: str, stored: StoredTensor, *, lora: bool
) -> None:
    if not math.prod(stored.shape):
        raise AdapterError(
            f"{files.folder}: {key} has the shape {list(stored.shape)}: empty, as ZeRO-3 leaves"
            " what it has not gathered; save it again, gathered"
            " (stage3_gather_16bit_weights_on_model_save)"
        )
    if stored.dtype in FLOAT8 or (lora and not stored.dtype.is_floating_point):
        raise AdapterError(
            f"{files.folder}: {key} is {stored.dtype.word}: rounded weights can't be added to a"
            " base; save the adapter in float32 or bfloat16"
        )


def _has_nonzero(stored: StoredTensor, name: str, damaged: list[str]) -> bool:
    """Whether a tensor holds anything but 0; its name joins `damaged` if a value is not finite."""
    if not stored.is_finite():
        damaged.append(name)
    return stored.has_nonzero()
