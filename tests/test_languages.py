"""The language that an environment asks for, and the one that a command line asks for."""

from __future__ import annotations

import pytest

from shenhe.cli.command_line import language_on
from shenhe.languages import current_language, language_of, page_language, speaking


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, None),
        ({"LANG": ""}, None),
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "POSIX"}, None),
        ({"LANG": "de_DE.UTF-8"}, None),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "ZH_tw"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LC_MESSAGES": "zh_CN", "LANG": "en_US"}, "zh"),
        ({"LC_ALL": "en_GB", "LC_MESSAGES": "zh_CN"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN.GBK"}, "zh"),
    ],
)
def test_first_variable_that_is_set_counts(
    environment: dict[str, str], language: str | None
) -> None:
    assert language_of(environment) == language


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("run", None),
        ("--lang zh run", "zh"),
        ("run --lang=en", "en"),
        ("--lang zh run --lang en", "en"),
        ("run --lang", None),
        ("run --lang de", None),
        ("chat -- --lang zh", None),
    ],
)
def test_command_line_speaks_before_it_is_read(
    line: str, language: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert language_on(line.split()) == language
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert language_on(line.split()) == (language or "zh")


def test_pages_are_chinese_where_nobody_asks() -> None:
    assert current_language() is None
    assert page_language() == "zh"
    with speaking("en"), speaking(None):
        assert (current_language(), page_language()) == (None, "zh")
    with speaking("en"):
        assert page_language() == "en"
