"""JSON as models write it, without a word about captions."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.errors import FormatError
from shenhe.formats import lenient_json
from shenhe.formats.lenient_json import JsonList, JsonNode, JsonObject, JsonScalar

texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.integers(-9999, 9999) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)
containers = st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3)


def plain(node: JsonNode) -> object:
    if isinstance(node, JsonScalar):
        return node.value
    if isinstance(node, JsonList):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.members}


@given(containers, st.text(st.characters(exclude_characters="{["), max_size=9))
def test_json_is_read_as_json(value: object, around: str) -> None:
    text = json.dumps(value)
    (parsed,) = lenient_json.read(around + text + around)
    assert (parsed.start, parsed.end) == (len(around), len(around) + len(text))
    assert (parsed.unclosed, parsed.misplaced, parsed.ends_inside) == (0, 0, False)
    assert parsed.is_json()
    assert plain(parsed.root) == value


@given(containers, containers)
def test_values_are_told_apart(first: object, second: object) -> None:
    parsed = lenient_json.read(f"here's {json.dumps(first)}, isn't it\n{json.dumps(second)}")
    assert [plain(value.root) for value in parsed] == [first, second]


@pytest.mark.parametrize(
    ("text", "value", "misplaced", "unclosed"),
    [
        ('{"a": [1, 2}', {"a": [1, 2]}, 1, 0),
        ('[{"a": 1]', [{"a": 1}], 1, 0),
        ('[{"a": {"b": 1]', [{"a": {"b": 1}}], 2, 0),
        ('{"a": [1, 2, "b": 3}', {"a": [1, 2], "b": 3}, 1, 0),
        ('{"a": 1]}', {"a": 1}, 1, 0),
        ('{"a": {"b": 1}', {"a": {"b": 1}}, 0, 1),
        ('{"a": [{"b": 1', {"a": [{"b": 1}]}, 0, 3),
        ('{"a": "b', {}, 0, 1),
    ],
)
def test_brackets(text: str, value: object, misplaced: int, unclosed: int) -> None:
    (parsed,) = lenient_json.read(text)
    assert plain(parsed.root) == value
    assert (parsed.misplaced, parsed.unclosed) == (misplaced, unclosed)
    assert parsed.ends_inside == (unclosed > 0 and text[-1] not in "}]")


def test_what_is_no_member_is_kept() -> None:
    (parsed,) = lenient_json.read('{"a", "b": 1, 5: 2, {"c": 3}}')
    assert isinstance(parsed.root, JsonObject)
    assert parsed.root.stray == ["a", "5", ":", "2", "{"]
    assert parsed.root.keys() == ["b", ""]


def test_brackets_without_end_are_refused() -> None:
    with pytest.raises(FormatError) as caught:
        lenient_json.read("[" * 100_000)
    assert caught.value.code == "not_json"
