"""What can be told of a checkpoint from its files alone, a few tensors at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from shenhe.checkpoints.companions import CONFIG, INDEX, NEEDED, PROVENANCE
from shenhe.checkpoints.gate import (
    AdmittedAdapter,
    admit_adapters,
    refuse_quantised,
    refuse_together,
)
from shenhe.checkpoints.inspect import (
    CheckpointFiles,
    find_adapter,
    find_checkpoint,
    fingerprint,
)
from shenhe.checkpoints.merge import HEAD
from shenhe.checkpoints.tensors import StoredTensor, read_table, read_tables
from shenhe.errors import AdapterError, CheckpointError

Level = Literal["ok", "warning", "error"]
VIDEO = "video_preprocessor_config.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and what to do where it is not well."""

    level: Level
    message: str
    remedy: str = ""


def check_files(
    name: str, base: str | None = None, *, values: bool = True, quantised: bool = False
) -> Iterator[Finding]:
    """Yield what is found in a checkpoint's files, and against those of its base.

    Without `values` nothing is read but the tables of the weights. `quantised` is for those who run
    such checkpoints, as vLLM does.

    Raises: CheckpointError where it is no checkpoint at all, or a quantised one.
    """
    files = find_checkpoint(name)
    if not quantised:
        refuse_quantised(files)
    yield from _companions(files)
    tensors: dict[str, StoredTensor] = {}
    for path in files.weights:
        for tensor_name, stored in read_table(path).items():
            if tensor_name in tensors:
                yield Finding("error", f"{tensor_name} stands in two files", "write it anew")
            tensors[tensor_name] = stored
    nbytes = sum(stored.nbytes for stored in tensors.values())
    told = f"{len(tensors)} tensors, {nbytes / 1e9:.3f} GB in {len(files.weights)} files"
    yield Finding("ok", told)
    yield from _index(files, tensors)
    yield from _stray_weights(files)
    if base is not None:
        yield from _against(tensors, find_checkpoint(base))
    if values:
        yield from _finite(tensors)
    yield from check_stale(files)


def check_adapters(base: str, adapters: Sequence[str]) -> Iterator[Finding]:
    """Yield what the gate says of adapters: what loading and merging them would say too.

    Raises: CheckpointError where the base is no checkpoint at all.
    """
    files = find_checkpoint(base)
    try:
        admitted = admit_adapters(files, [find_adapter(name) for name in adapters])
        refuse_together(admitted)
    except AdapterError as error:
        yield Finding("error", str(error))
        return
    for name, adapter in zip(adapters, admitted, strict=True):
        for told in adapter.warnings:
            yield Finding("warning", told, "use a checkpoint from after some training")
        yield Finding("ok", f"{name}: {_held(adapter)} fit the base")
        yield from _other_base(name, adapter.settings.base, base)


def _held(adapter: AdmittedAdapter) -> str:
    modules, whole = adapter.contents.modules, adapter.contents.replaced
    held = f"{len(modules)} modules" if modules else f"{len(adapter.placed.weights)} tensors"
    kind = "" if adapter.kind == "LoRA" else f" of {adapter.kind}"
    return f"{held}{kind}" + (f", {len(whole)} tensors held whole" if whole else "")


def _other_base(adapter: str, recorded: str, base: str) -> Iterator[Finding]:
    """Warn where an adapter was trained on a base of another shape, or of another name."""
    if not recorded or Path(recorded).name == Path(base).name:
        return
    known = Path(recorded) / CONFIG
    ours = find_checkpoint(base).folder / CONFIG
    if known.is_file() and known.read_bytes() == ours.read_bytes():
        return
    told = f"{adapter}: records {recorded} as its base, not {base}"
    yield Finding("warning", told, "make sure that the two are the same weights")


def check_stale(files: CheckpointFiles) -> Iterator[Finding]:
    """Tell whether what a merge was made of has changed since."""
    path = files.folder / PROVENANCE
    if not path.exists():
        return
    try:
        made_of = json.loads(path.read_text(encoding="utf-8"))
        parts = [("base", made_of["base"])] + [("adapter", one) for one in made_of["adapters"]]
        for kind, part in parts:
            yield _still(kind, part["path"], part["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        yield Finding("warning", f"{PROVENANCE} cannot be read: {error}", "merge again")


def _still(kind: str, path: str, before: str) -> Finding:
    find = find_checkpoint if kind == "base" else find_adapter
    try:
        now = fingerprint(find(path))
    except CheckpointError:
        return Finding("ok", f"merged from the {kind} {path}, which is not there any more")
    if now == before:
        return Finding("ok", f"merged from the {kind} {path}, unchanged since")
    return Finding(
        "error", f"stale: the {kind} {path} has changed since it was merged", "merge again"
    )


def _companions(files: CheckpointFiles) -> Iterator[Finding]:
    missing = [name for name in NEEDED if not (files.folder / name).exists()]
    for name in missing:
        level: Level = "warning" if name in (VIDEO, "generation_config.json") else "error"
        remedy = f"copy {name} from the base checkpoint"
        yield Finding(level, f"{name} is missing: some servers need it", remedy)
    if not missing:
        yield Finding("ok", "every file that servers and trainers look for")


def _index(files: CheckpointFiles, tensors: dict[str, StoredTensor]) -> Iterator[Finding]:
    path = files.folder / INDEX
    if not path.exists():
        return
    index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    named: dict[str, str] = index.get("weight_map", {})
    wrong = [
        name
        for name in named.keys() | tensors.keys()
        if name not in named or name not in tensors or tensors[name].path.name != named[name]
    ]
    if wrong:
        told = ", ".join(sorted(wrong)[:5])
        yield Finding("error", f"{INDEX} and the shards disagree on {told}", "write it anew")
    total = index.get("metadata", {}).get("total_size")
    real = sum(stored.nbytes for stored in tensors.values())
    if total is not None and total != real:
        yield Finding("warning", f"{INDEX} tells of {total:,} bytes, there are {real:,}")
    if not wrong:
        yield Finding("ok", f"{INDEX} and the shards agree")


def _stray_weights(files: CheckpointFiles) -> Iterator[Finding]:
    known = {path.name for path in files.weights}
    for path in sorted(files.folder.glob("model*.safetensors")):
        if path.name not in known:
            told = f"{path.name} belongs to no index: an older checkpoint lies here too"
            yield Finding("error", told, f"remove {path.name}")


def _against(tensors: dict[str, StoredTensor], base: CheckpointFiles) -> Iterator[Finding]:
    """Compare names, shapes and size with those of the base's own files."""
    expected = read_tables(base.weights)
    odd = sorted((tensors.keys() ^ expected.keys()) - {HEAD + ".weight"})
    odd += [
        name
        for name in sorted(tensors.keys() & expected.keys())
        if tensors[name].shape != expected[name].shape
    ]
    if odd:
        told = f"{len(odd)} tensors are not those of the base: {', '.join(odd[:5])}"
        yield Finding("error", told, "merge again, with the base that the adapter was trained on")
        return
    ours, theirs = (sum(stored.nbytes for stored in some.values()) for some in (tensors, expected))
    yield Finding("ok", f"names and shapes of the base; {ours:,} bytes, the base {theirs:,}")


def _finite(tensors: dict[str, StoredTensor]) -> Iterator[Finding]:
    bad = [
        name
        for name, stored in tensors.items()
        if stored.dtype.is_floating_point and not bool(torch.isfinite(stored.read().float()).all())
    ]
    if bad:
        told = f"{len(bad)} tensors hold NaN or infinity: {', '.join(bad[:5])}"
        yield Finding("error", told, "go back to a checkpoint from before, or train again")
    else:
        yield Finding("ok", "every value is finite")
