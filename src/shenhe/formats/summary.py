"""The Stage-A line: one non-empty line of Chinese, no coordinates, no special tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shenhe.errors import FormatError
from shenhe.formats.desc import as_path

NOTHING_RELEVANT = "无关图片"
REMARK_PREFIX = "备注: "
SEPARATOR = "，"

_SPECIAL_TOKEN = re.compile(r"<\|[^|<>]{0,64}\|>")
_COORDINATES = re.compile(
    r"bbox_2d|[\[(（]\s*\d+(?:\.\d+)?\s*[,，]\s*\d+(?:\.\d+)?\s*(?:[,，]\s*\d+(?:\.\d+)?\s*)*[\])）]"
)


def parse(text: str) -> str:
    """Read a summary line; white space around it is no part of it.

    Raises: FormatError with code empty, multiple_lines, special_token or coordinates.
    Source: `render`, and the summary prompt.
    """
    line = text.strip()
    if not line:
        raise FormatError("empty", "the summary is empty")
    if len(line.splitlines()) > 1:
        raise FormatError("multiple_lines", "the summary must be one line")
    if token := _SPECIAL_TOKEN.search(line):
        raise FormatError("special_token", f"the summary holds the special token {token[0]}")
    if found := _COORDINATES.search(line):
        raise FormatError("coordinates", f"the summary holds coordinates: {found[0]}")
    return line


def render(descs: Iterable[str], remark: str = "") -> str:
    """Write the line of a photo: equal descs counted as ×N in order of first appearance."""
    counts: dict[str, int] = {}
    for desc in descs:
        path = summary_path(desc)
        counts[path] = counts.get(path, 0) + 1
    parts = [f"{path}×{count}" for path, count in counts.items()]
    if remark:
        parts.append(REMARK_PREFIX + remark)
    return SEPARATOR.join(parts) or NOTHING_RELEVANT


def summary_path(desc: str) -> str:
    """Turn a caption's desc into its path in a summary: commas become /, a label's text goes."""
    path = as_path(desc)
    if path.startswith("标签/"):
        return "标签/无法识别" if path == "标签/无法识别" else "标签/可以识别"
    return path
