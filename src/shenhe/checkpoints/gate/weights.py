"""An adapter's tensors: each has its place in the base, both halves are there, all can be added."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import torch

from shenhe.checkpoints.adapter import LORA_PART, PREFIX, AdapterContents, Located, locate
from shenhe.checkpoints.inspect import CheckpointFiles
from shenhe.checkpoints.tensors import StoredTensor, read_table
from shenhe.errors import AdapterError, CheckpointError

HALVES: Final = (
    ("lora_A.weight", "lora_B.weight"),
    ("lora_embedding_A", "lora_embedding_B"),
)
OUTER: Final = ("lora_B", "lora_embedding_B", "lora_magnitude_vector")
AT_ONCE: Final = 1 << 24
"""Values looked at together."""
FLOAT8: Final = (torch.float8_e4m3fn, torch.float8_e5m2)


def read_contents(
    files: CheckpointFiles, names: Iterable[str], *, lora: bool, across: bool
) -> AdapterContents:
    """Find the place of every tensor of an adapter in a base, by the names of the base's tensors.

    Where an adapter reaches `across` modules (target_parameters), PEFT alone knows its names.
    Raises: AdapterError that names what has no place, stands twice, is empty or is no plain number.
    """
    base_names = frozenset(names)
    prefixes = {
        name.rsplit(".", dots)[0] for name in base_names for dots in range(name.count(".") + 1)
    }
    contents = AdapterContents(files.folder)
    odd: list[str] = []
    tables = _tables(files)
    if not tables:
        raise AdapterError(
            f"{files.folder}: holds no tensor: it was saved without its weights being gathered"
            " (ZeRO-3, FSDP); save it again"
        )
    for key, stored in tables.items():
        _refuse_stored(files, key, stored, lora=lora)
        located = None if across else locate(key, base_names, prefixes)
        if lora and not across and not _known(located):
            odd.append(key)
        elif twice := _put(contents, key, located, stored):
            raise AdapterError(f"{files.folder}: {twice} stands twice, under two names; keep one")
    if odd:
        raise AdapterError(
            f"{files.folder}: {len(odd)} weights match nothing in the base: {some(odd)}; was it"
            " trained on another base?"
        )
    return contents


def refuse_halves(contents: AdapterContents) -> None:
    """Refuse LoRA that has one of its two matrices only.

    Raises: AdapterError that names the missing ones.
    """
    lacking = [
        f"{name}.{lost}"
        for name, parts in contents.modules.items()
        for pair in HALVES
        for kept, lost in (pair, pair[::-1])
        if kept in parts and lost not in parts
    ]
    lacking += [
        f"{name}.{HALVES[0][0]}"
        for name, parts in contents.modules.items()
        if not any(half in parts for pair in HALVES for half in pair)
    ]
    if lacking:
        raise AdapterError(
            f"{contents.folder}: lacks weights for {len(lacking)} places: {some(lacking)}: half of"
            " a LoRA adds nothing; save it again"
        )


def refuse_ranks(contents: AdapterContents, ranks: Mapping[str, int]) -> None:
    """Refuse LoRA whose matrices have another rank than the configuration says.

    Raises: AdapterError.
    """
    for name, parts in contents.modules.items():
        for inner, outer in HALVES:
            if inner not in parts:
                continue
            shapes = parts[inner].shape, parts[outer].shape
            if min(map(len, shapes)) < 2:
                raise AdapterError(
                    f"{contents.folder}: {name}.{inner} and its other half have the shapes"
                    f" {list(shapes[0])} and {list(shapes[1])}: no matrices; save it again"
                )
            stored = shapes[0][0], shapes[1][1]
            if set(stored) != {ranks[name]}:
                told = stored[0] if stored[0] == stored[1] else f"{stored[0]} and {stored[1]}"
                raise AdapterError(
                    f"{contents.folder}: does not fit the base: {name} has rank {told}, the"
                    f" configuration says {ranks[name]} (r, rank_pattern): scaled by that, it is"
                    " not what was trained; take the adapter_config.json that was saved with it"
                )


def look_at_values(contents: AdapterContents) -> bool:
    """Read every tensor once, and tell whether the adapter changes anything.

    Raises: AdapterError where one holds NaN or infinity.
    """
    bad: list[str] = []
    changes = False
    for name, parts in contents.modules.items():
        nonzero = {part: _nonzero(stored, f"{name}.{part}", bad) for part, stored in parts.items()}
        outer = any(value for part, value in nonzero.items() if part.startswith(OUTER[:2]))
        inner = any(value for part, value in nonzero.items() if not part.startswith(OUTER))
        changes |= outer and inner
    for name, stored in (contents.replaced | contents.others).items():
        changes |= _nonzero(stored, name, bad)
    if bad:
        raise AdapterError(
            f"{contents.folder}: {len(bad)} tensors hold NaN or infinity: {some(bad)}: the training"
            " went wrong; go back to a checkpoint from before"
        )
    return changes


def some(names: Iterable[str], count: int = 5) -> str:
    """Name the first few, and how many there are beside them."""
    listed = list(names)
    rest = len(listed) - count
    return ", ".join(listed[:count]) + (f" and {rest} more" if rest > 0 else "")


def _tables(files: CheckpointFiles) -> dict[str, StoredTensor]:
    tables: dict[str, StoredTensor] = {}
    for path in files.weights:
        try:
            table = read_table(path)
        except CheckpointError as error:
            raise AdapterError(str(error)) from error
        if twice := tables.keys() & table.keys():
            raise AdapterError(f"{files.folder}: {some(sorted(twice))} stands in two files")
        tables |= table
    return tables


def _known(located: Located | None) -> bool:
    """Whether a key is of a whole tensor, of LoRA on a module, or of trained tokens."""
    if located is None:
        return False
    part = f".{located.part}"
    return part == "." or bool(LORA_PART.fullmatch(part)) or part.startswith(".token_adapter.")


def _put(
    contents: AdapterContents, key: str, located: Located | None, stored: StoredTensor
) -> str | None:
    """Put a tensor in its place; give its name if that is taken."""
    if located is None:
        place, name = contents.others, key
    elif not located.part:
        place, name = contents.replaced, located.name
    elif LORA_PART.fullmatch(f".{located.part}"):
        place, name = contents.modules.setdefault(located.name, {}), located.part
    else:
        place, name = contents.others, f"{PREFIX}{located.name}.{located.part}"
    if name in place:
        return name
    place[name] = stored
    if located and located.part:
        contents.written.setdefault(located.name, located.written)
    return None


def _refuse_stored(files: CheckpointFiles, key: str, stored: StoredTensor, *, lora: bool) -> None:
    if not math.prod(stored.shape):
        raise AdapterError(
            f"{files.folder}: {key} has the shape {list(stored.shape)}: empty, as ZeRO-3 leaves"
            " what it has not gathered; save it again, gathered"
            " (stage3_gather_16bit_weights_on_model_save)"
        )
    if stored.dtype in FLOAT8 or (lora and not stored.dtype.is_floating_point):
        dtype = str(stored.dtype).removeprefix("torch.")
        raise AdapterError(
            f"{files.folder}: {key} is {dtype}: rounded weights can't be added to a base; save the"
            " adapter in float32 or bfloat16"
        )


def _nonzero(stored: StoredTensor, name: str, bad: list[str]) -> bool:
    """Tell whether a tensor holds anything; one that is not finite is added to `bad`."""
    flat = stored.read().view(-1)
    pieces = [flat[start : start + AT_ONCE] for start in range(0, len(flat), AT_ONCE)]
    if stored.dtype.is_floating_point and not all(bool(torch.isfinite(p).all()) for p in pieces):
        bad.append(name)
    return any(bool(piece.any()) for piece in pieces)
