"""One JSON object, exactly as JSON has it: for texts that are never repaired."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, NoReturn

from shenhe.errors import FormatError
from shenhe.formats import lenient_json
from shenhe.json_keys import find_repeated_key

MAX_DEPTH: Final = 16
"""Depth of nested objects and lists; a deeper text is a model that opens brackets without end."""
MAX_SHOWN: Final = 40
"""Maximum number of characters of a text that a message shows."""


def read_object(text: str) -> dict[str, object]:
    """Read a text that is one JSON object and nothing else.

    Raises: FormatError with code not_json, truncated, trailing_text, duplicate_key, or structure
    for another value than an object.

        >>> read_object('{"图片_1": "无关图片"}')
        {'图片_1': '无关图片'}
    """
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)
    try:
        value, end = decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        _refuse_no_json(text, error)
    if text[end:].strip():
        raise FormatError(
            "trailing_text", f"text behind the JSON: {text[end:].strip()[:MAX_SHOWN]!r}"
        )
    if not isinstance(value, dict):
        raise FormatError("structure", f"a JSON object is expected, not {text[:MAX_SHOWN]!r}")
    if _is_too_deep(value):
        raise FormatError("not_json", f"JSON that is nested deeper than {MAX_DEPTH} levels")
    return value


def texts_of(value: object) -> Iterator[str]:
    """Yield the keys and texts of some JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from texts_of(member)
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if (key := find_repeated_key(pairs)) is not None:
        raise FormatError("duplicate_key", f"the key {key[:MAX_SHOWN]!r} stands twice")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError("not_json", f"JSON has no {name}")


def _refuse_no_json(text: str, error: Exception) -> NoReturn:
    """Say what keeps a text from being JSON."""
    if text[:1] in "{[":
        first = lenient_json.read(text)[0]
        if first.unclosed > 0 or first.ends_inside:
            raise FormatError("truncated", "the JSON was cut off: its end is missing") from error
        if "single_quotes" in first.oddities:
            raise FormatError("not_json", "no JSON: it has single quotes") from error
    if isinstance(error, json.JSONDecodeError):
        start = max(error.pos - MAX_SHOWN // 2, 0)
        shown = text[start : error.pos + MAX_SHOWN // 2]
        raise FormatError("not_json", f"no JSON: {error.msg} at {shown!r}") from error
    raise FormatError("not_json", f"no JSON: {error}") from error


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        nested = [item for item in level if isinstance(item, dict | list)]
        if not nested:
            return False
        level = [
            inner
            for item in nested
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return True
