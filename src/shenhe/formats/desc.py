"""A desc: a path of levels. Some trainings part levels by `/` throughout, some by `/` and `,`."""

from __future__ import annotations


def as_path(desc: str) -> str:
    """Write a desc with `/` between all its levels."""
    return desc.replace(",", "/").replace("，", "/")


def levels(desc: str) -> list[str]:
    """List the levels of a desc, the category first."""
    return [level.strip() for level in as_path(desc).split("/")]


def category(desc: str) -> str:
    """Give the first level, or the whole of a desc that begins with none."""
    return levels(desc)[0] or desc
