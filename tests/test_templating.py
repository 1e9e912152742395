"""Templates print text and numbers, never what Python calls them."""

from __future__ import annotations

import math

import pytest
from jinja2 import UndefinedError

from shenhe.templating import environment, fill_sentence

ENVIRONMENT = environment("shenhe.review")


@pytest.mark.parametrize(
    "value", [None, True, math.nan, math.inf, {}.clear, object(), [], b"", print]
)
def test_what_is_neither_text_nor_number_is_an_error(value: object) -> None:
    with pytest.raises(TypeError, match="neither text nor a number"):
        ENVIRONMENT.from_string("{{ value }}").render(value=value)


def test_a_missing_name_is_an_error() -> None:
    for source in ("{{ value }}", "{{ w.missing }}", "{{ w['missing'] }}"):
        with pytest.raises(UndefinedError):
            ENVIRONMENT.from_string(source).render(w={})
    assert ENVIRONMENT.from_string("{{ 'a' if false }}|{{ 3 }}|{{ 0.5 }}").render() == "|3|0.5"


def test_numbers_that_are_none_are_not_finite() -> None:
    template = ENVIRONMENT.from_string("{{ 'yes' if value is finite else 'no' }}")
    for value, answer in (
        (None, "no"),
        (math.nan, "no"),
        (math.inf, "no"),
        (0.5, "yes"),
        (1, "yes"),
    ):
        assert template.render(value=value) == answer


def test_foreign_text_stands_apart() -> None:
    sentence = fill_sentence("{who} 判为 {what} <b>", who="<李>\u202e{what}", what="通过")
    assert sentence == "<bdi>&lt;李&gt;\u202e{what}</bdi> 判为 <bdi>通过</bdi> &lt;b&gt;"
    source = '<p title="{{ text | spelled }}">{{ text | isolated }}</p>'
    shown = ENVIRONMENT.from_string(source).render(text='a\u202e"')
    assert shown == '<p title="a\\u202e&#34;"><bdi>a\u202e&#34;</bdi></p>'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-20T08:00:05.120000Z", '="2026-11-20T08:00:05Z">2026-11-20 08:00:05 UTC</time>'),
        ("2026-11-20T16:00:05+08:00", '="2026-11-20T08:00:05Z">2026-11-20 08:00:05 UTC</time>'),
        ("2026-11-20T08:00:05", "<bdi>2026-11-20T08:00:05</bdi>"),  # of no zone
        ("0001-01-01T00:00:00+08:00", "<bdi>0001-01-01T00:00:00+08:00</bdi>"),
        ("<b>", "<bdi>&lt;b&gt;</bdi>"),
        ("", "<bdi></bdi>"),
    ],
)
def test_times_name_their_zone(text: str, shown: str) -> None:
    template = ENVIRONMENT.from_string("{{ text | moment }}")
    assert template.render(text=text).removeprefix("<time datetime") == shown
