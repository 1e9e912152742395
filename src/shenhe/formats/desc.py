"""A desc is a path of levels: separated by `/` in some trainings, by `/` and `,` in others."""

from __future__ import annotations


def as_path(desc: str) -> str:
    """Separate all levels of a desc by `/`.

    >>> as_path("BBU设备/华为,显示完整")
    'BBU设备/华为/显示完整'
    """
    return desc.replace(",", "/").replace("，", "/")


def levels(desc: str) -> list[str]:
    """List the levels of a desc, the category first."""
    return [level.strip() for level in as_path(desc).split("/")]


def category(desc: str) -> str:
    """Return the first level, or the whole desc if that is empty.

    >>> category("标签/可以识别")
    '标签'
    """
    return levels(desc)[0] or desc
