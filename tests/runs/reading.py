"""What runs have written, in a form that can be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SAID = ("per_image", "verdict", "reason", "raw")


def said(out: Path, *names: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    """Give what was said of each group, by its file and its key; one that stands twice fails."""
    values: dict[tuple[str, str], tuple[Any, ...]] = {}
    for path in sorted(out.glob("stage_*/*.jsonl")):
        if ".failures" in path.name:
            continue
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            key = (f"{path.parent.name}/{path.name}", f"{row['label']}/{row['group_id']}")
            assert key not in values, f"{key} twice"
            values[key] = tuple(row.get(name) for name in names or SAID)
    return values
