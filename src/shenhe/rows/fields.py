"""Fields of rows whose form nobody has checked: rows of older versions and of other tools."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

from shenhe.errors import RunError
from shenhe.values import FAIL, PASS, Label, ordered_lines, photo_key

MAX_EXACT_FLOAT: Final = 2**53
"""Below it a whole number that a tool wrote with a fraction is exact."""
_NO_IDS: Final = frozenset({"", "nan", "inf", "-inf"})
"""Texts of an empty id, and of numbers that are none."""
_OWN_META: Final = frozenset({"prompt_hash", "answers"})
"""Keys that the meta of every row of shenhe has."""
_LABELS: Final[Mapping[str, Label | None]] = {
    "": None,
    "pass": "pass",
    "fail": "fail",
    f"审核{PASS}": "pass",
    f"审核{FAIL}": "fail",
    PASS: "pass",
    FAIL: "fail",
}


def object_of(row: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Give a field that is a JSON object; an empty one if it is none."""
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def meta_of(row: Mapping[str, object]) -> Mapping[str, object]:
    """Give what a row was made with; nothing if it has no such object."""
    return object_of(row, "meta")


def list_of(row: Mapping[str, object], name: str) -> list[object]:
    """Give a field that is a JSON array; an empty one if it is none."""
    value = row.get(name)
    return value if isinstance(value, list) else []


def folded(text: str) -> str:
    """Give a word without its width and its case: ＰＡＳＳ is pass."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def label_of(row: Mapping[str, object]) -> Label | None:
    """Give the label of a group's row, as pass and fail or as the folders of photos say it.

    Raises: RunError for any other word.
    """
    label = row.get("label")
    if label is None:
        return None
    if isinstance(label, str) and folded(label) in _LABELS:
        return _LABELS[folded(label)]
    raise RunError(f"'label' of a row is {str(label)[:40]!r}: neither pass nor fail")


def group_id_of(row: Mapping[str, object]) -> str:
    """Give the id of a row's group, which may be a number.

    Raises: RunError if it has none.
    """
    group_id = row.get("group_id")
    if isinstance(group_id, float) and group_id.is_integer() and abs(group_id) < MAX_EXACT_FLOAT:
        group_id = int(group_id)
    is_named = isinstance(group_id, str | int | float) and not isinstance(group_id, bool)
    if not is_named or str(group_id) in _NO_IDS:
        raise RunError("a row lacks 'group_id'")
    return str(group_id)


def split_label(text: str) -> tuple[str, Label | None] | None:
    """Split `id::label`, the key of a group as other tools write it; None for any other text.

    >>> split_label("QC-1::审核不通过"), split_label("QC-1::"), split_label("QC::1")
    (('QC-1', 'fail'), ('QC-1', None), None)
    """
    group_id, separator, word = text.rpartition("::")
    if not separator or not group_id or folded(word) not in _LABELS:
        return None
    return group_id, _LABELS[folded(word)]


def group_of(row: Mapping[str, object]) -> tuple[str, Label | None]:
    """Give the id and the label of the group of any tool's row, also where the id is `id::label`.

    A folder may have such a name: ids of shenhe's own rows are as they are.
    Raises: RunError if the row has no id, no such label, or two labels.

    >>> group_of({"group_id": "QC-1::fail"})
    ('QC-1', 'fail')
    """
    group_id, label = group_id_of(row), label_of(row)
    parts = split_label(group_id) if "::" in group_id and not is_own(row) else None
    if parts is None:
        return group_id, label
    if row.get("label") is not None and label != parts[1]:
        raise RunError(f"'group_id' is {group_id[:60]!r}, and 'label' {str(row['label'])[:40]!r}")
    return parts


def is_own(row: Mapping[str, object]) -> bool:
    """Whether a row is one that shenhe wrote of a group."""
    return meta_of(row).keys() >= _OWN_META


def mission_of(row: Mapping[str, object], default: str = "") -> str:
    """Give the mission of a group's row: its own, or that of its file.

    Raises: RunError if there is neither.
    """
    mission = row.get("mission")
    if mission is None or mission == "":
        mission = default
    if not isinstance(mission, str) or not mission:
        raise RunError("a row lacks 'mission'")
    return mission


def lines_of(row: Mapping[str, object]) -> dict[str, str]:
    """Give the Stage-A lines of a group in the order of its photos; a list is read in its order.

    Raises: RunError if they are no texts.
    """
    lines = row.get("per_image")
    if lines is None:
        raise RunError("a row has no 'per_image'")
    if isinstance(lines, list):
        lines = {photo_key(index): line for index, line in enumerate(lines)}
    if not isinstance(lines, dict):
        raise RunError("'per_image' of a row is no object of texts")
    texts = {key: "" if line is None else line for key, line in lines.items()}
    if not all(isinstance(line, str) for line in texts.values()):
        raise RunError("'per_image' of a row holds something that is no text")
    return ordered_lines(texts)


def images_of(row: Mapping[str, object]) -> list[str]:
    """Give the photos of a group; where a row names none, they are called as its lines are.

    Raises: RunError if they are no texts.
    """
    images = row.get("images")
    if images is None:
        return list(lines_of(row))
    if isinstance(images, str):
        return [images]
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise RunError("'images' of a row is no list of texts")
    return images
