"""Names of the files of an output, and the key of a row."""

from __future__ import annotations

from pathlib import Path

from shenhe.errors import RunError
from shenhe.rows.fields import label_of
from shenhe.rows.ledger import Json
from shenhe.values import group_key, photos_key


def rows_file(folder: Path, mission: str) -> Path:
    """Name the rows file of a mission; file names have no slash, so one in its name is replaced."""
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
    if "group_id" in row:
        return group_key(str(row["mission"]), label_of(row), str(row["group_id"]))
    images = row["images"]
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise RunError("'images' of a row is no list of texts: not written by shenhe")
    return photos_key(images)
