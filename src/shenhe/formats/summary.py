"""The Stage-A line: one non-empty line of Chinese, no coordinates, no special tokens."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shenhe.errors import FormatError
from shenhe.formats import lenient_json, thinking
from shenhe.formats.desc import as_path
from shenhe.formats.repetition import describe_line_loop

NOTHING_RELEVANT = "无关图片"
REMARK_PREFIX = "备注: "
SEPARATOR = "，"

_SPECIAL_TOKEN = re.compile(r"<\|[^|<>]{0,64}\|>")
_COORDINATES = re.compile(
    r"bbox_2d|[\[(（]\s*\d+(?:\.\d+)?\s*[,，]\s*\d+(?:\.\d+)?\s*(?:[,，]\s*\d+(?:\.\d+)?\s*)*[\])）]"
)

_NOTHING = frozenset({"{}", "[]", '""', "null", "None", "{{}}", "[{}]"})
_KEY = re.compile(r"""["']\s*[:：]""")
_JSON = re.compile(r"""^[{\[]|[{\[]\s*["'{\[]|""" + _KEY.pattern)
"""Signs of JSON: a line that begins with a bracket, a bracket before a quote or bracket, a key."""
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff]")


def parse(text: str) -> str:
    r"""Read a summary line, white space around it stripped.

    Raises: FormatError with code empty, thinking, multiple_lines, special_token, characters,
    coordinates, truncated (JSON without its end) or loop.
    Source: `render`, and the summary prompt.

        >>> parse(" 标签/可以识别×2\n")
        '标签/可以识别×2'
    """
    line = text.strip()
    if not line:
        raise FormatError("empty", "the summary is empty")
    if line in _NOTHING:
        raise FormatError("empty", f"the summary is {line}: it says nothing of the photo")
    thinking.refuse(line)
    if len(line.splitlines()) > 1:
        raise FormatError("multiple_lines", "the summary must be one line")
    if token := _SPECIAL_TOKEN.search(line):
        raise FormatError("special_token", f"the summary holds the special token {token[0]}")
    if match := _COORDINATES.search(line):
        raise FormatError("coordinates", f"the summary holds coordinates: {match[0]}")
    if mark := _UNREADABLE.search(line):
        raise FormatError("characters", f"the summary holds the control character {mark[0]!a}")
    _refuse_cut_json(line)
    if loop := describe_line_loop(line):
        raise FormatError("loop", f"the summary goes round in a circle: {loop}")
    return line


def _refuse_cut_json(line: str) -> None:
    """Refuse JSON whose end or beginning is missing: half of an answer."""
    if not _JSON.search(line):
        return
    values = lenient_json.read(line)
    end = values[-1].end if values else 0
    if any(value.unclosed for value in values):
        raise FormatError("truncated", "the summary is JSON that was cut off: its end is missing")
    if _KEY.search(line) and re.search(r"[}\]]", line[end:]):
        raise FormatError("truncated", "the summary is JSON whose beginning is missing")


def render(descs: Iterable[str], remark: str = "") -> str:
    """Write the line of a photo: equal descs counted as ×N, in order of first appearance.

    >>> render(["标签/4G", "BBU设备/华为", "标签/5G"])
    '标签/可以识别×2，BBU设备/华为×1'
    """
    counts: dict[str, int] = {}
    for desc in descs:
        path = summary_path(desc)
        counts[path] = counts.get(path, 0) + 1
    parts = [f"{path}×{count}" for path, count in counts.items()]
    if remark:
        parts.append(REMARK_PREFIX + remark)
    return SEPARATOR.join(parts) or NOTHING_RELEVANT


def summary_path(desc: str) -> str:
    """Turn a desc into its path in a summary, with `/` alone and without a label's text.

    >>> summary_path("标签/4G-RRU1")
    '标签/可以识别'
    """
    path = as_path(desc)
    if path.startswith("标签/"):
        return "标签/无法识别" if path == "标签/无法识别" else "标签/可以识别"
    return path
