"""The Stage-A line: one non-empty line of Chinese, no coordinates, no special tokens.

A checkpoint may be trained to wrap it, or to write JSON in its place: `text_formats.SummaryFormat`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from shenhe.errors import FormatError
from shenhe.formats import lenient_json, strict_json, thinking
from shenhe.formats.desc import as_path
from shenhe.formats.repetition import describe_line_loop
from shenhe.formats.text_formats import NUMBER_FIELD, PLAIN, SummaryFormat

NOTHING_RELEVANT = "无关图片"
REMARK_PREFIX = "备注: "
SEPARATOR = "，"

_SPECIAL_TOKEN = re.compile(r"<\|[^|<>]{0,64}\|>")
_COORDINATES = re.compile(
    r"bbox_2d|[\[(（]\s*\d+(?:\.\d+)?\s*[,，]\s*\d+(?:\.\d+)?\s*(?:[,，]\s*\d+(?:\.\d+)?\s*)*[\])）]"
)

_SHAPE_KEYS = frozenset(("bbox_2d", "quad", "poly", "polygon", "line", "point_2d"))
_NOTHING = frozenset({"{}", "[]", '""', "null", "None", "{{}}", "[{}]"})
_NO_ANSWER = re.compile(
    r"(?:none|null|nil|nan|n/?a|undefined|[-–—.…_]+)$"
    r"|\W{0,3}(?:error|exception|traceback|failed|failure|time(?:d )?out|runtimeerror|valueerror)\b"
    r"|[(（\[【]?(?:(?:请求|推理|加载|处理|读取|识别|调用|生成|服务)(?:失败|出错|错误|异常|超时)|错误|失败|超时|报错)",
    re.IGNORECASE,
)
"""What other tools write where a photo has no answer: no value, or an error's message."""
_KEY = re.compile(r"""["']\s*[:：]""")
_JSON = re.compile(r"""^[{\[]|[{\[]\s*["'{\[]|""" + _KEY.pattern)
"""Signs of JSON: a line that begins with a bracket, a bracket before a quote or bracket, a key."""
_UNREADABLE = re.compile("[\x00-\x08\x0e-\x1b\x7f\ud800-\udfff]")


def parse(text: str, form: SummaryFormat = PLAIN.summary, number: int = 1) -> str:
    r"""Read the line of an answer, white space around it stripped.

    `number` is that of the photo in its group: a wrapper names it, or photo 1, which the model
    was shown. Raises: FormatError with code empty, thinking, multiple_lines, special_token,
    characters, coordinates, truncated (JSON without its end) or loop; of a format that is not plain
    also header, not_json, structure, key_sequence, duplicate_key or trailing_text.
    Source: `render`, and the summary prompt.

        >>> parse(" 标签/可以识别×2\n")
        '标签/可以识别×2'
        >>> parse('{"图片_1": "标签/可以识别×2"}', SummaryFormat("keyed"))
        '标签/可以识别×2'
    """
    line = text.strip()
    _refuse_nothing(line)
    thinking.refuse(line)
    if line == NOTHING_RELEVANT:
        return line
    if form.header:
        first, _, line = map(str.strip, line.partition("\n"))
        if first not in form.headers:
            message = f"the first line must be {' or '.join(form.headers)}, got {first[:40]!r}"
            raise FormatError("header", message)
        _refuse_nothing(line)
    return _read_body(line, form, number)


def parse_stored(line: str, form: SummaryFormat = PLAIN.summary, number: int = 1) -> str:
    """Read the line that a row holds: as `parse` gave it, or the whole answer, as other tools do.

    Raises: FormatError as `parse`.

        >>> parse_stored("无关图片", SummaryFormat("keyed"))
        '无关图片'
    """
    text = line.strip()
    if form == PLAIN.summary or (form.header and text.startswith(form.headers)):
        return parse(line, form, number)
    _refuse_nothing(text)
    thinking.refuse(text)
    return _read_body(text, form if looks_like_json(text) else PLAIN.summary, number)


def parse_group(lines: Mapping[str, str], form: SummaryFormat = PLAIN.summary) -> dict[str, str]:
    """Read the lines that a row holds of the photos of a group, in their order.

    Raises: FormatError of the first that is none.

        >>> parse_group({"图片_1": " 无关图片"})
        {'图片_1': '无关图片'}
    """
    return {
        key: parse_stored(line, form, number) for number, (key, line) in enumerate(lines.items(), 1)
    }


def looks_like_json(text: str) -> bool:
    """Whether a text has signs of JSON: brackets before quotes, keys.

    >>> looks_like_json('{"统计": []}'), looks_like_json("标签/4G-1[2]×1")
    (True, False)
    """
    return bool(_JSON.search(text.strip()))


def header_of(text: str, form: SummaryFormat) -> str:
    r"""Give the header of an answer; empty if it has none.

    >>> header_of("<A>\n{}", SummaryFormat("json", header="<A>"))
    '<A>'
    """
    first = text.strip().partition("\n")[0].strip()
    return first if first in form.headers else ""


def write(line: str, form: SummaryFormat = PLAIN.summary, header: str = "") -> str:
    """Write a line as models must; `header` is the first that the format has, if not given.

    >>> write("标签/可以识别×2", SummaryFormat("keyed"))
    '{"图片_1": "标签/可以识别×2"}'
    """
    if form.wrapper == "keyed":
        line = json.dumps({key_of(form, 1): line}, ensure_ascii=False)
    if not form.header or line == NOTHING_RELEVANT:
        return line
    return f"{header or form.headers[0]}\n{line}"


def key_of(form: SummaryFormat, number: int) -> str:
    """Name a photo as a wrapper does.

    >>> key_of(SummaryFormat("keyed"), 2)
    '图片_2'
    """
    return form.keys[0].replace(NUMBER_FIELD, str(number))


def _refuse_nothing(line: str) -> None:
    if not line:
        raise FormatError("empty", "the summary is empty")
    if line in _NOTHING or _NO_ANSWER.match(line):
        raise FormatError("empty", f"the summary is {line[:60]}: it says nothing of the photo")


def _read_body(line: str, form: SummaryFormat, number: int) -> str:
    """Read what stands below a header, as the format has it."""
    if len(line.splitlines()) > 1:
        raise FormatError("multiple_lines", "the summary must be one line")
    if form.wrapper == "keyed":
        return _unwrap(line, form, number)
    if form.wrapper == "json" and line != NOTHING_RELEVANT:
        return _check_json(line)
    return _check_line(line)


def _unwrap(line: str, form: SummaryFormat, number: int) -> str:
    """Read the only value of an object whose key names the photo."""
    if line == NOTHING_RELEVANT:
        return line
    members = strict_json.read_object(line)
    names = {key.replace(NUMBER_FIELD, str(n)) for key in form.keys for n in (1, number)}
    if len(members) != 1 or not names.issuperset(members):
        shown = ", ".join(members)[:80]
        message = f"the only key must be {key_of(form, number)}, got {shown}"
        raise FormatError("key_sequence", message)
    (value,) = members.values()
    if not isinstance(value, str):
        raise FormatError("structure", f"the value of {next(iter(members))} must be a text")
    value = value.strip()
    _refuse_nothing(value)
    if looks_like_json(value):
        raise FormatError("structure", "the value is JSON, where a line is expected")
    if len(value.splitlines()) > 1:
        raise FormatError("multiple_lines", "the summary must be one line")
    thinking.refuse(value)
    return _check_line(value)


def _check_json(line: str) -> str:
    """Check a summary that is one JSON object, and stays one."""
    members = strict_json.read_object(line)
    for text in strict_json.texts_of(members):
        thinking.refuse(text)
        _refuse_characters(text)
        if len(text.splitlines()) > 1:
            raise FormatError("characters", "the summary holds a line break inside a text")
    if _has_coordinates(members):
        raise FormatError("coordinates", "the summary holds coordinates")
    if not _says_something(members):
        raise FormatError("empty", f"the summary is {line[:40]}: it says nothing of the photo")
    _refuse_loop(line)
    return line


def _has_coordinates(value: object) -> bool:
    """Whether some JSON holds the key of a shape, or a list of several numbers."""
    if isinstance(value, dict):
        return bool(_SHAPE_KEYS & value.keys()) or any(map(_has_coordinates, value.values()))
    if isinstance(value, list):
        numbers = sum(isinstance(item, int | float) for item in value)
        return numbers > 1 or any(map(_has_coordinates, value))
    return False


def _says_something(value: object) -> bool:
    """Whether some JSON holds a number, or a text that is not empty."""
    if isinstance(value, dict):
        return any(map(_says_something, value.values()))
    if isinstance(value, list):
        return any(map(_says_something, value))
    return bool(value.strip()) if isinstance(value, str) else value is not None


def _check_line(line: str) -> str:
    """Check a summary that is a line of text."""
    _refuse_characters(line, _COORDINATES)
    _refuse_cut_json(line)
    _refuse_loop(line)
    return line


def _refuse_characters(text: str, coordinates: re.Pattern[str] | None = None) -> None:
    if token := _SPECIAL_TOKEN.search(text):
        raise FormatError("special_token", f"the summary holds the special token {token[0]}")
    if coordinates and (match := coordinates.search(text)):
        raise FormatError("coordinates", f"the summary holds coordinates: {match[0]}")
    if mark := _UNREADABLE.search(text):
        raise FormatError("characters", f"the summary holds the control character {mark[0]!a}")


def _refuse_loop(line: str) -> None:
    if loop := describe_line_loop(line):
        raise FormatError("loop", f"the summary goes round in a circle: {loop}")


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
