"""Checks of a checkpoint by its files alone, a few tensors at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from shenhe.checkpoints.companions import CONFIG, EXPECTED_FILES, INDEX, PROVENANCE
from shenhe.checkpoints.findings import Finding, Level
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
from shenhe.checkpoints.merge_plan import LM_HEAD
from shenhe.checkpoints.tensors import StoredTensor, read_table, read_tables
from shenhe.errors import AdapterError, CheckpointError

VIDEO = "video_preprocessor_config.json"


def check_files(
    name: str, base: str | None = None, *, values: bool = True, quantised: bool = False
) -> Iterator[Finding]:
    """Check a checkpoint's files, and compare them with those of its base.

    Without `values` only the headers of the weights are read. `quantised` accepts quantised
    checkpoints, which vLLM can run.

    Raises: CheckpointError if it is not a checkpoint, or a quantised one.
    """
    files = find_checkpoint(name)
    if not quantised:
        refuse_quantised(files)
    yield from _check_companions(files)
    tensors: dict[str, StoredTensor] = {}
    for path in files.weights:
        for tensor_name, stored in read_table(path).items():
            if tensor_name in tensors:
                yield Finding("error", f"{tensor_name} stands in two files", "write it anew")
            tensors[tensor_name] = stored
    gigabytes = _total_bytes(tensors) / 1e9
    yield Finding("ok", f"{len(tensors)} tensors, {gigabytes:.3f} GB in {len(files.weights)} files")
    yield from _check_index(files, tensors)
    yield from _check_stray_weights(files)
    if base is not None:
        yield _compare_with_base(tensors, find_checkpoint(base))
    if values:
        yield _check_finite(tensors)
    yield from check_stale(files)


def check_adapters(base: str, adapters: Sequence[str]) -> Iterator[Finding]:
    """Ask the gate about adapters: the refusals are those of loading and merging.

    Raises: CheckpointError if the base is not a checkpoint.
    """
    files = find_checkpoint(base)
    try:
        admitted = admit_adapters(files, [find_adapter(name) for name in adapters])
        refuse_together(admitted)
    except AdapterError as error:
        yield Finding("error", str(error))
        return
    for name, adapter in zip(adapters, admitted, strict=True):
        for message in adapter.warnings:
            yield Finding("warning", message, "use a checkpoint from after some training")
        yield Finding("ok", f"{name}: {_describe_contents(adapter)} fit the base")
        yield from _check_recorded_base(name, adapter.settings.base, base)


def _describe_contents(adapter: AdmittedAdapter) -> str:
    contents = adapter.contents
    if contents.modules:
        text = f"{len(contents.modules)} modules"
    else:
        text = f"{len(contents.peft_keys) + len(contents.replaced) - len(adapter.whole)} tensors"
    if adapter.kind != "LoRA":
        text += f" of {adapter.kind}"
    return text + (f", {len(contents.replaced)} tensors held whole" if contents.replaced else "")


def _check_recorded_base(adapter: str, recorded: str, base: str) -> Iterator[Finding]:
    """Warn if an adapter was trained on a base of another shape or name."""
    if not recorded or Path(recorded).name == Path(base).name:
        return
    recorded_config = Path(recorded) / CONFIG
    config = find_checkpoint(base).folder / CONFIG
    if recorded_config.is_file() and recorded_config.read_bytes() == config.read_bytes():
        return
    message = f"{adapter}: records {recorded} as its base, not {base}"
    yield Finding("warning", message, "make sure that the two are the same weights")


def check_stale(files: CheckpointFiles) -> Iterator[Finding]:
    """Check whether base or adapters of a merge have changed since."""
    path = files.folder / PROVENANCE
    if not path.exists():
        return
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        origins = [("base", content["base"])]
        origins += [("adapter", adapter) for adapter in content["adapters"]]
        for kind, origin in origins:
            yield _compare_fingerprint(kind, origin["path"], origin["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        yield Finding("warning", f"{PROVENANCE} cannot be read: {error}", "merge again")


def _compare_fingerprint(kind: str, path: str, before: str) -> Finding:
    find = find_checkpoint if kind == "base" else find_adapter
    try:
        current = fingerprint(find(path))
    except CheckpointError:
        return Finding("ok", f"merged from the {kind} {path}, which is not there any more")
    if current == before:
        return Finding("ok", f"merged from the {kind} {path}, unchanged since")
    return Finding(
        "error", f"stale: the {kind} {path} has changed since it was merged", "merge again"
    )


def _check_companions(files: CheckpointFiles) -> Iterator[Finding]:
    missing = [name for name in EXPECTED_FILES if not (files.folder / name).exists()]
    for name in missing:
        level: Level = "warning" if name in (VIDEO, "generation_config.json") else "error"
        remedy = f"copy {name} from the base checkpoint"
        yield Finding(level, f"{name} is missing: some servers need it", remedy)
    if not missing:
        yield Finding("ok", "every file that servers and trainers look for")


def _check_index(files: CheckpointFiles, tensors: Mapping[str, StoredTensor]) -> Iterator[Finding]:
    path = files.folder / INDEX
    if not path.exists():
        return
    index = json.loads(path.read_text(encoding="utf-8"))
    shards: dict[str, str] = index.get("weight_map", {})
    mismatches = [
        name
        for name in shards.keys() | tensors.keys()
        if name not in shards or name not in tensors or tensors[name].path.name != shards[name]
    ]
    if mismatches:
        names = ", ".join(sorted(mismatches)[:5])
        yield Finding("error", f"{INDEX} and the shards disagree on {names}", "write it anew")
    recorded = index.get("metadata", {}).get("total_size")
    total = _total_bytes(tensors)
    if recorded is not None and recorded != total:
        yield Finding("warning", f"{INDEX} tells of {recorded:,} bytes, there are {total:,}")
    if not mismatches:
        yield Finding("ok", f"{INDEX} and the shards agree")


def _check_stray_weights(files: CheckpointFiles) -> Iterator[Finding]:
    names = {path.name for path in files.weights}
    for path in sorted(files.folder.glob("model*.safetensors")):
        if path.name not in names:
            message = f"{path.name} belongs to no index: an older checkpoint lies here too"
            yield Finding("error", message, f"remove {path.name}")


def _compare_with_base(tensors: Mapping[str, StoredTensor], base: CheckpointFiles) -> Finding:
    """Compare names, shapes and size with those of the base's own files."""
    expected = read_tables(base.weights)
    mismatches = sorted((tensors.keys() ^ expected.keys()) - {LM_HEAD})
    mismatches += [
        name
        for name in sorted(tensors.keys() & expected.keys())
        if tensors[name].shape != expected[name].shape
    ]
    if mismatches:
        names = ", ".join(mismatches[:5])
        return Finding(
            "error",
            f"{len(mismatches)} tensors are not those of the base: {names}",
            "merge again, with the base that the adapter was trained on",
        )
    size, base_size = _total_bytes(tensors), _total_bytes(expected)
    return Finding("ok", f"names and shapes of the base; {size:,} bytes, the base {base_size:,}")


def _check_finite(tensors: Mapping[str, StoredTensor]) -> Finding:
    damaged = [name for name, stored in tensors.items() if not stored.is_finite()]
    if not damaged:
        return Finding("ok", "every value is finite")
    return Finding(
        "error",
        f"{len(damaged)} tensors hold NaN or infinity: {', '.join(damaged[:5])}",
        "go back to a checkpoint from before, or train again",
    )


def _total_bytes(tensors: Mapping[str, StoredTensor]) -> int:
    return sum(stored.nbytes for stored in tensors.values())
