"""Names of the files of an output, and the key of a row."""

from __future__ import annotations

from pathlib import Path

from shenhe.errors import RunError
from shenhe.rows.ledger import Json
from shenhe.values import Label, group_key, photos_key


def rows_file(folder: Path, mission: str) -> Path:
    """Name the rows file of a mission; a slash in its name cannot stand in a file's."""
    return folder / f"{mission.replace('/', '_')}.jsonl"


def failures_file(rows_path: Path) -> Path:
    """Name the failures file beside a rows file."""
    return rows_path.with_suffix(".failures.jsonl")


def key_of(row: Json) -> str:
    """Give the key of the group, or of the captioned photos, that a row or a failure is about.

    Raises: RunError for a row that is about neither.
    """
    for name in ("images",) if "group_id" not in row else ("group_id", "mission", "label"):
        if name not in row:
            raise RunError(f"a row lacks {name!r}: not written by shenhe")
    if "group_id" not in row:
        images = row["images"]
        if not isinstance(images, list) or not all(isinstance(one, str) for one in images):
            raise RunError("'images' of a row is no list of texts: not written by shenhe")
        return photos_key(images)
    label: Label | None = row["label"]
    if label not in ("pass", "fail", None):
        raise RunError(f"'label' of a row is {label!r}: not written by shenhe")
    return group_key(str(row["mission"]), label, str(row["group_id"]))
