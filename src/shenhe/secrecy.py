"""Secrets that stand in no message and no file: keys, and passwords in URLs."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

KEY_VARIABLES: Final = ("SHENHE_API_KEY", "OPENAI_API_KEY")
HIDDEN: Final = "***"
MIN_LENGTH: Final = 4
"""Characters; shorter secrets are parts of too many words, and only URLs are rid of them."""
MIN_LENGTH_IN_ANSWERS: Final = 6
"""The same for the answers of a model."""
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_CREDENTIALS_WITH_SLASH: Final = re.compile(r"(?<=://)[^/?#\s:]*:(?!\d*(?:[/?#]|$))\S*@")
"""A password with a slash in it, which ends the host for every parser of URLs."""
_CREDENTIALS_WITHOUT_SCHEME: Final = re.compile(r"^(?![^/?#]*://)[^/?#\s'\"]*@")
_SECRET_PARAMETER: Final = re.compile("key|token|secret|pass|sig|auth", re.IGNORECASE)


def api_key() -> str:
    """Return the API key of servers from the environment; empty if there is none."""
    return next(filter(None, _keys()), "")


def redact_url(url: str) -> str:
    """Hide the user, the password and the query of a URL.

    >>> redact_url("https://me:s3cret@host/v1?key=1")
    'https://***@host/v1?***'
    """
    for credentials in (_CREDENTIALS_WITHOUT_SCHEME, _CREDENTIALS_WITH_SLASH, _CREDENTIALS):
        url = credentials.sub(f"{HIDDEN}@", url)
    return re.sub(r"\?.+", f"?{HIDDEN}", url)


class Secrets:
    """Words that are hidden in all text, also in the text of others that repeats them.

    >>> Secrets(["s3cret"]).hide("401: no such key: s3cret")
    '401: no such key: ***'
    """

    def __init__(self, words: Iterable[str] = (), min_length: int = MIN_LENGTH) -> None:
        """Hide these words, except those of fewer than `min_length` characters."""
        self._words = sorted({w for w in words if len(w) >= min_length}, key=len, reverse=True)

    @classmethod
    def of(cls, *urls: str) -> Self:
        """Hide the keys of the environment, and the credentials of these URLs."""
        return cls([*_keys(), *(word for url in urls for word in _credentials(url))])

    def at_least(self, min_length: int) -> Secrets:
        """Return the secrets of at least `min_length` characters."""
        return Secrets(self._words, min_length)

    def hide(self, text: str) -> str:
        """Replace each secret by ***."""
        for word in self._words:
            text = text.replace(word, HIDDEN)
        return text

    def partial_match_length(self, text: str) -> int:
        """Count the characters at the end of a text that may be the beginning of a secret."""
        if not self._words:
            return 0
        return next(
            (
                size
                for size in range(min(len(text), len(self._words[0]) - 1), 0, -1)
                if any(word.startswith(text[-size:]) for word in self._words)
            ),
            0,
        )


def _keys() -> Iterator[str]:
    return (os.environ.get(name, "").strip() for name in KEY_VARIABLES)


def _credentials(url: str) -> Iterator[str]:
    """Yield the credentials of a URL in each form in which they may be repeated."""
    for match in (*_CREDENTIALS_WITH_SLASH.findall(url), *_CREDENTIALS.findall(url)):
        both = match.removesuffix("@")
        user, colon, password = both.partition(":")
        raw = unquote(both)
        yield from (both, raw, base64.b64encode(raw.encode()).decode())
        # A user alone is a token; beside a password it is only a name.
        yield from (password, unquote(password)) if colon else (user, unquote(user))
    try:
        query = urlsplit(url).query
    except ValueError:
        return
    yield from (value for name, value in parse_qsl(query) if _SECRET_PARAMETER.search(name))
