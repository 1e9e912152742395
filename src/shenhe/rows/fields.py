"""Fields of rows whose form nobody has checked: rows of older versions and of other tools."""

from __future__ import annotations

from collections.abc import Mapping

from shenhe.errors import RunError
from shenhe.values import Label


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


def label_of(row: Mapping[str, object]) -> Label | None:
    """Give the label of a group's row.

    Raises: RunError for a label that shenhe never writes.
    """
    label = row.get("label")
    if label == "pass":
        return "pass"
    if label == "fail":
        return "fail"
    if label is None:
        return None
    raise RunError(f"'label' of a row is {label!r}: not written by shenhe")
