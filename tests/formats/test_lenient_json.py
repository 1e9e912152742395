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
    (found,) = lenient_json.read(around + text + around)
    assert (found.start, found.end) == (len(around), len(around) + len(text))
    assert (found.unclosed, found.misplaced, found.ends_inside) == (0, 0, False)
    assert found.is_json()
    assert plain(found.root) == value


@given(containers, containers)
def test_values_are_told_apart(first: object, second: object) -> None:
    found = lenient_json.read(f"here's {json.dumps(first)}, isn't it\n{json.dumps(second)}")
    assert [plain(value.root) for value in found] == [first, second]


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
    (found,) = lenient_json.read(text)
    assert plain(found.root) == value
    assert (found.misplaced, found.unclosed) == (misplaced, unclosed)
    assert found.ends_inside == (unclosed > 0 and text[-1] not in "}]")


def test_what_is_no_member_is_kept() -> None:
    (found,) = lenient_json.read('{"a", "b": 1, 5: 2, {"c": 3}}')
    assert isinstance(found.root, JsonObject)
    assert found.root.stray == ["a", "5", ":", "2", "{"]
    assert found.root.keys() == ["b", ""]


def test_brackets_without_end_are_refused() -> None:
    with pytest.raises(FormatError) as caught:
        lenient_json.read("[" * 100_000)
    assert caught.value.code == "not_json"
