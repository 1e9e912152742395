"""Natural order is equal in memory and on disk."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.intake import ordering
from shenhe.intake.ordering import natural_key, sort_naturally

NAMES = st.text(
    alphabet=st.one_of(
        st.sampled_from("0123456789aAbBzß-_. 组①٣３"), st.characters(exclude_characters="\0/")
    ),
    min_size=1,
    max_size=12,
).filter(lambda name: not any(0xD800 <= ord(mark) <= 0xDFFF for mark in name))


@given(st.lists(NAMES, unique=True, max_size=40))
def test_order_on_disk_equals_order_in_memory(names: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ordering, "IN_MEMORY", 3)
        assert list(sort_naturally(iter(names))) == sorted(names, key=natural_key)


def test_names_that_are_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "IN_MEMORY", 1)
    names = [os.fsdecode(b"g-\xff10"), os.fsdecode(b"g-\xff9"), "g-1", "g-01"]
    assert list(sort_naturally(names)) == sorted(names, key=natural_key)
