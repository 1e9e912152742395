"""Labels: what a desc becomes in tools that give each object one label."""

from __future__ import annotations

from collections.abc import Callable

from shenhe.formats.desc import category

Labels = Callable[[str], str]
"""From a desc to a label."""


def whole_desc(desc: str) -> str:
    """Return the whole desc: nothing is lost, but there are many labels."""
    return desc


# By category there are few labels; the whole desc is kept if the format has a field for it.
LABELS: dict[str, Labels] = {"category": category, "desc": whole_desc}
