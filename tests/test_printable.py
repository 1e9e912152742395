"""Foreign text on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shenhe.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("BBU设备/华为×1，备注: 无", "BBU设备/华为×1，备注: 无"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J通过", "\\x1b[2J通过"),
        ("不通过\r通过", "不通过\\x0d通过"),
        ("a\u202e过通不", "a\\u202e过通不"),
        ("\x9b31m", "\\x9b31m"),
        ("half \udcb2", "half \\udcb2"),
    ],
)
def test_what_a_terminal_would_obey_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters()))
def test_nothing_but_visible_text_is_left(text: str) -> None:
    left = {unicodedata.category(character) for character in printable(text)} - {"Cf"}
    assert not left & {"Cs"}
    assert not {c for c in printable(text) if unicodedata.category(c) == "Cc"} - {"\n", "\t"}
    assert printable(printable(text)) == printable(text)
