"""Lines of every form: items, JSON of later trainings, JSON keyed by the photo."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from shenhe.config.spelling import CATEGORIES, flatten
from shenhe.errors import FormatError
from shenhe.formats import lenient_json
from shenhe.formats.lenient_json import JsonContainer, JsonList, JsonNode, JsonObject, JsonScalar
from shenhe.stages.evidence.entries import is_remark, name_entry, read_entry, remarks_of
from shenhe.stages.evidence.items import Item, Line, read_text

MAX_CHARACTERS = 20_000
"""The length that a line is cut to; none that a model wrote comes near."""
MAX_REMEMBERED = 4096
"""Lines that are remembered with their items."""
_JSON = re.compile(r"^\s*(?:<[^<>]{0,80}>[\s,，]*)*[\[{]|统计[\"'”]?\s*[:=：]")
_DRIFT = re.compile(r"[\"']?(分组统计|统计|备注)[\"']?\s*[=：]\s*(?=[\[{\"'])")
"""A key that is not written as in JSON."""
_PHOTO = re.compile(r"^(?:图片|image|图)[_ -]?\d+$", re.IGNORECASE)
_GROUP = re.compile(r"\d+")
_TOTALS, _BY_GROUP, _DISTANCE = "统计", "分组统计", "站点距离"
_MAX_DEPTH = 6
_WORD = re.compile(r"\w")
UNCLEAR = Line(remarks=("",))
"""What says something that nobody can read: it leaves everything in doubt."""


def may_be_json(line: str) -> bool:
    """Whether a line may hold JSON; cheap.

    >>> may_be_json("标签/5G-BBU×1")
    False
    """
    return "{" in line or "[" in line or _TOTALS in line


@lru_cache(maxsize=MAX_REMEMBERED)
def read_line(line: str, own: frozenset[str] = frozenset()) -> Line:
    """Read a line; `own` are the categories of the rules. Junk has no items.

    >>> read_line('{"统计": [{"类别": "挡风板", "安装方向": {"正确": 1}}]}').items[0].categories
    ('挡风板',)
    """
    if len(line) > MAX_CHARACTERS:
        start = read_line(line[:MAX_CHARACTERS], own)
        return replace(start, remarks=(*start.remarks, ""))  # nobody knows what its end says
    if not (may_be_json(line) and _JSON.search(line)):
        return read_text(line, own)
    try:
        values = lenient_json.read(_DRIFT.sub(r'"\1": ', line))
    except FormatError:
        return Line()
    return _joined([read for value in values for read in _read(value.root, own, _MAX_DEPTH)])


def _joined(lines: list[Line]) -> Line:
    """Join what several objects say. Totals say nothing of what belongs to which group."""
    items = [item for line in lines for item in line.items]
    if any(item.group for item in items):
        items = [
            item if item.group else replace(item, group=f"{_TOTALS} {index}")
            for index, item in enumerate(items)
        ]
    return Line(
        tuple(items),
        tuple(remark for line in lines for remark in line.remarks),
        frozenset().union(*(line.distances for line in lines)),
    )


def _read(node: JsonNode, own: frozenset[str], depth: int) -> Iterator[Line]:
    """Yield what each part of some JSON says."""
    if depth == 0:
        return
    if isinstance(node, JsonScalar):
        if isinstance(node.value, str):
            yield read_line(node.value, own) if depth > 1 else read_text(node.value, own)
        return
    if any(_WORD.search(piece) for piece in node.stray):
        yield UNCLEAR
    if isinstance(node, JsonList):
        for item in node.items:
            yield from _read(item, own, depth - 1)
        return
    entry = read_entry(node, own)
    if entry is not None:
        yield entry
        return
    for key, value in node.members:
        yield from _read_member(key, value, own, depth)


def _read_member(key: str, value: JsonNode, own: frozenset[str], depth: int) -> Iterator[Line]:
    if is_remark(key):
        yield Line(remarks=remarks_of(value))
    elif key == _DISTANCE and isinstance(value, JsonScalar):
        yield Line(distances=frozenset({str(value.value)}))
    elif key == _BY_GROUP and isinstance(value, JsonList | JsonObject):
        yield from _read_groups(value, own, depth)
    elif isinstance(value, JsonObject) and read_entry(value, own) is None:
        if flatten(key) in CATEGORIES or flatten(key) in own:
            value = name_entry(key, value)
        elif not _PHOTO.match(key) and any(map(_is_count, value.members)):
            yield UNCLEAR  # counts, and nobody can tell of what
        yield from _read(value, own, depth - 1)
    elif key == "desc" or _PHOTO.match(key) or not isinstance(value, JsonScalar):
        yield from _read(value, own, depth - 1)


def _is_count(member: tuple[str, JsonNode]) -> bool:
    """Whether a member says how many there are of its key."""
    key, value = member
    is_number = isinstance(value, JsonScalar) and not isinstance(value.value, str)
    return is_number and key != _DISTANCE


def _read_groups(node: JsonContainer, own: frozenset[str], depth: int) -> Iterator[Line]:
    """Yield the items of each group: under its name, or with its name among their keys."""
    members = (
        node.members
        if isinstance(node, JsonObject)
        else [(_group_name(item) or str(index), item) for index, item in enumerate(node.items)]
    )
    for name, value in members:
        number = _GROUP.search(name)
        group = number[0] if number else name
        for line in _read_group(value, own, depth):
            yield replace(line, items=tuple(_in_group(item, group) for item in line.items))


def _read_group(node: JsonNode, own: frozenset[str], depth: int) -> Iterator[Line]:
    if isinstance(node, JsonObject) and read_entry(node, own) is None:
        for key, value in node.members:
            if isinstance(value, JsonScalar) and not isinstance(value.value, str):
                yield read_text(key, own)  # a path and its count
            else:
                yield from _read_member(key, value, own, depth)
    elif isinstance(node, JsonList):
        for item in node.items:
            yield from _read(item, own, depth - 1)
    else:
        yield from _read(node, own, depth - 1)


def _group_name(node: JsonNode) -> str:
    if isinstance(node, JsonObject):
        for key, value in node.members:
            if key in ("组", "组号", "分组") and isinstance(value, JsonScalar):
                return str(value.value)
    return ""


def _in_group(item: Item, group: str) -> Item:
    return item if item.group else replace(item, group=group)
