"""What stands in no message and no file: keys, and passwords in addresses."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Iterator
from typing import Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

KEY_VARIABLES: Final = ("SHENHE_API_KEY", "OPENAI_API_KEY")
HIDDEN: Final = "***"
LEAST, LEAST_IN_ANSWERS = 4, 6
"""Shorter secrets are none, and stand in too many words: only addresses lose them."""
_ADDRESS: Final = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_BAD_ADDRESS: Final = re.compile(r"(?<=://)[^/?#\s:]*:(?!\d*(?:[/?#]|$))\S*@")
"""A password with a slash in it, which ends the host for whoever reads the address by its rules."""


def api_key() -> str:
    """Give the key of servers, as the environment has it; empty where it has none."""
    keys = (os.environ.get(name, "").strip() for name in KEY_VARIABLES)
    return next(filter(None, keys), "")


def redact_url(url: str) -> str:
    """Give an address without what opens it: no user, no password, no values of its query.

    >>> redact_url("https://me:s3cret@host/v1?key=1")
    'https://***@host/v1?***'
    """
    found = _ADDRESS.sub(f"{HIDDEN}@", _BAD_ADDRESS.sub(f"{HIDDEN}@", url))
    return re.sub(r"\?.+", f"?{HIDDEN}", found)


_OPENS: Final = re.compile("key|token|secret|pass|sig|auth", re.IGNORECASE)


class Secrets:
    """Words that are hidden wherever they come up, also where somebody else repeats them."""

    def __init__(self, words: Iterable[str] = (), least: int = LEAST) -> None:
        """Hide these words, but for those of fewer than `least` characters."""
        self._words = sorted({w for w in words if len(w) >= least}, key=len, reverse=True)

    @classmethod
    def of(cls, *addresses: str) -> Self:
        """Hide the keys of the environment, and what opens these addresses."""
        keys = (os.environ.get(name, "").strip() for name in KEY_VARIABLES)
        return cls([*keys, *(word for url in addresses for word in _openers(url))])

    def longer(self, least: int) -> Secrets:
        """Give those of at least so many characters."""
        return Secrets(self._words, least)

    def hide(self, text: str) -> str:
        """Put *** in the place of each of the words."""
        for word in self._words:
            text = text.replace(word, HIDDEN)
        return text

    def begins(self, text: str) -> int:
        """Count the characters at the end of a text that may be the beginning of one of them."""
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


def _openers(url: str) -> Iterator[str]:
    """Give what opens an address, in each form in which it may be repeated."""
    for opener in (*_BAD_ADDRESS.findall(url), *_ADDRESS.findall(url)):
        both = opener.removesuffix("@")
        user, colon, password = both.partition(":")
        raw = unquote(both)
        yield from (both, raw, base64.b64encode(raw.encode()).decode())
        # A user alone is a token; beside a password it is but a name.
        yield from (password, unquote(password)) if colon else (user, unquote(user))
    try:
        query = urlsplit(url).query
    except ValueError:
        return
    yield from (value for name, value in parse_qsl(query) if _OPENS.search(name))
