"""The files beside a checkpoint's weights, and the record of a merge's origin."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shenhe.checkpoints.inspect import CheckpointFiles, fingerprint, read_object
from shenhe.errors import CheckpointError
from shenhe.timestamps import utc_now

INDEX = "model.safetensors.index.json"
PROVENANCE = "shenhe_merge.json"
PROVENANCE_SCHEMA = 1
CONFIG = "config.json"
COMPANIONS = ("*.json", "*.jinja", "*.txt", "*.model")
"""Patterns of the files that are copied from the base."""
EXPECTED_FILES = (
    *(CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("chat_template.jinja", "preprocessor_config.json", "video_preprocessor_config.json"),
)
"""Files that servers and trainers look for; those that the base lacks are reported."""


def copy_companions(base: CheckpointFiles, folder: Path) -> None:
    """Copy the files beside a base's weights, except its configuration and its index."""
    for pattern in COMPANIONS:
        for path in sorted(base.folder.glob(pattern)):
            if path.is_file() and path.name not in (INDEX, CONFIG, PROVENANCE):
                shutil.copyfile(path, folder / path.name)


def write_provenance(
    folder: Path,
    base: CheckpointFiles,
    adapters: Sequence[CheckpointFiles],
    combine: str,
    dtype: str,
) -> None:
    """Write the base, the adapters and the versions that a checkpoint was merged with."""
    content = {
        "schema": PROVENANCE_SCHEMA,
        "merged": utc_now(),
        "base": _origin(base),
        "adapters": [_origin(files) for files in adapters],
        "before": merged_fingerprints(read_object(base.folder / PROVENANCE, CheckpointError)),
        "combine": combine,
        "dtype": dtype,
        "versions": _versions("shenhe", "numpy", "torch", "peft"),
    }
    write_json(folder / PROVENANCE, content)


def merged_fingerprints(record: Mapping[str, object]) -> list[str]:
    """List the fingerprints of the adapters that a checkpoint holds, by the record of its merge.

    >>> merged_fingerprints({"adapters": [{"fingerprint": "b"}], "before": ["a"]})
    ['a', 'b']
    """
    before, adapters = record.get("before"), record.get("adapters")
    marks = list(before) if isinstance(before, list) else []
    marks += [
        entry.get("fingerprint")
        for entry in (adapters if isinstance(adapters, list) else ())
        if isinstance(entry, dict)
    ]
    return [mark for mark in marks if isinstance(mark, str)]


def is_merge_of(folder: Path, base: CheckpointFiles, adapters: Sequence[CheckpointFiles]) -> bool:
    """Whether a folder is a merge of these very files, as its record of origin says.

    is_merge_of(Path("merged"), find_checkpoint("base"), [find_adapter("lora")])
    """
    try:
        content = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        origins = [content["base"], *content["adapters"]]
        recorded = [origin["fingerprint"] for origin in origins]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return recorded == [fingerprint(files) for files in (base, *adapters)]


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a JSON file; it is on disk on return.

    Raises: OSError.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())


def _origin(files: CheckpointFiles) -> dict[str, str]:
    return {"path": str(files.folder.absolute()), "fingerprint": fingerprint(files)}


def _versions(*names: str) -> dict[str, str | None]:
    """Look up versions; null for what is not installed, which a merge of LoRA does without."""
    versions: dict[str, str | None] = dict.fromkeys(names)
    for name in names:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
