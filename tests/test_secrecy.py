"""Keys and passwords, wherever they come up."""

from __future__ import annotations

import pytest

from shenhe.secrecy import Secrets, api_key, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8000/v1", "http://host:8000/v1"),
        ("http://me:s3cret@host/v1", "http://***@host/v1"),
        ("http://s3cret@host/v1", "http://***@host/v1"),
        ("http://me:s3@cret@host/v1", "http://***@host/v1"),
        ("http://me:s3/cret@host/v1", "http://***@host/v1"),
        ("https://host/v1?api_key=s3cret", "https://host/v1?***"),
        ("htp://me:s3cret@host", "htp://***@host"),
        ("me:s3cret@host:8000/v1", "***@host:8000/v1"),
        ("host:8000/@v1", "host:8000/@v1"),
        ("http://host/@v1", "http://host/@v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("", ""),
    ],
)
def test_addresses_are_shown_without_what_opens_them(url: str, shown: str) -> None:
    assert redact_url(url) == shown


def test_each_form_of_a_secret_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHENHE_API_KEY", " sk-one \n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-two")
    assert api_key() == "sk-one"
    secrets = Secrets.of("http://me:p%40ss@host/v1", "https://host?token=t0ken&n=long-enough")
    text = "sk-one sk-two p%40ss p@ss bWU6cEBzcw== t0ken me long-enough"
    assert secrets.hide(text) == "*** *** *** *** *** *** me long-enough"


def test_short_words_are_no_secrets() -> None:
    assert Secrets(["1", "abc"]).hide("1 abc") == "1 abc"
    assert Secrets(["abcd"]).at_least(6).hide("abcd") == "abcd"


def test_how_much_of_a_text_may_begin_a_secret() -> None:
    secrets = Secrets(["geheim", "heimat"])
    assert [secrets.partial_match_length(text) for text in ("ge", "xgeheim", "x", "", "ggehe")] == [
        2,
        4,
        0,
        0,
        4,
    ]
    assert Secrets().partial_match_length("ge") == 0
