"""What a desc becomes where a tool wants one label a thing."""

from __future__ import annotations

from collections.abc import Callable

from shenhe.formats.desc import category

Labels = Callable[[str], str]
"""From a desc to a label."""


def whole_desc(desc: str) -> str:
    """Take all of it: nothing is lost, but labels are many."""
    return desc


# By category labels are few, and the whole desc goes where the format has room for it.
LABELS: dict[str, Labels] = {"category": category, "desc": whole_desc}
