"""Names of the files of an output, and the key of a row."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from shenhe.config.missions import normalize_name
from shenhe.errors import RunError
from shenhe.rows.fields import group_id_of, group_of, label_of, mission_of
from shenhe.rows.ledger import Json
from shenhe.shards import first_shard
from shenhe.values import group_key, photos_key

_STAGE = re.compile(r"(?<=.)_stage_[ab]$", re.IGNORECASE)


def rows_file(folder: Path, mission: str) -> Path:
    """Name the rows file of a mission; file names have no slash, so one in its name is replaced."""
    return folder / f"{mission.replace('/', '_')}.jsonl"


def failures_file(rows_path: Path) -> Path:
    """Name the failures file beside a rows file."""
    return rows_path.with_suffix(".failures.jsonl")


@lru_cache(maxsize=64)  # asked row by row
def mission_of_file(path: Path) -> str:
    """Give the mission after which a rows file, or a further shard of one, is named.

    Older pipelines write the stage behind it.

    >>> mission_of_file(Path("out/BBU接地线检查_stage_a.jsonl"))
    'BBU接地线检查'
    """
    return _STAGE.sub("", first_shard(path).stem)


def key_of(row: Json, mission: str | None = None) -> str:
    """Give the key of the group, the captioned photos or the row of a dataset that a row is about.

    A row of shenhe names all that makes the key. Another tool's may leave out the label, or join it
    to the id, and leave out the mission after which its file is named: `mission`.
    Raises: RunError for a row that is about neither.
    """
    if "group_id" in row or "per_image" in row or "verdict" in row:
        if mission is None and "label" not in row:
            raise RunError("a row lacks 'label'")
        if mission is None:
            return group_key(mission_of(row), label_of(row), group_id_of(row))
        group_id, label = group_of(row)
        return group_key(mission_of(row, mission), label, group_id)
    if "dataset" in row and "line" in row:
        if not isinstance(row.get("id"), str):
            raise RunError("'id' of a row is no text")
        return str(row["id"])
    if "response" in row:
        raise RunError("an answer that another tool wrote: give these another file")
    images = row.get("images")
    if images is None:
        raise RunError("a row lacks 'group_id' or 'images'")
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise RunError("'images' of a row is no list of texts")
    return photos_key(images)


def in_one_spelling(key: str) -> str:
    r"""Write the mission of a group's key in one way, to compare groups of rows of any tool.

    Rows, files and decisions keep their keys as they are.

    >>> in_one_spelling("BBU安装方式检查（正装）\x1f\x1fQC-1")
    'BBU安装方式检查(正装)\x1f\x1fQC-1'
    """
    mission, separator, group = key.partition("\x1f")
    return mission_in_one_spelling(mission) + separator + group


@lru_cache(maxsize=64)  # asked row by row
def mission_in_one_spelling(mission: str) -> str:
    """Write a mission in one way, as `normalize_name` does."""
    return normalize_name(mission)
