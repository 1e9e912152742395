"""Everything that can come instead of an answer, and its description: one harmless line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shenhe.errors import MAX_FOREIGN_CHARACTERS, ItemError
from shenhe.printable import printable
from shenhe.secrecy import Secrets

TORN_TRIES: Final = 8
"""Tries for a request whose answers arrive torn: that passes."""
USELESS_TRIES: Final = 3
"""Tries for a request whose answers are complete and useless: a model repeats itself as a rule."""


class UnreachableError(ItemError):
    """The server did not answer: no connection, a broken one, or no answer in time."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__("server_failed", message)
        self.late = late


class BadAnswerError(ItemError):
    """A response without an answer; `tries` is how often the request is sent."""

    tries = TORN_TRIES


class UselessAnswerError(BadAnswerError):
    """A complete response without an answer, or with one that cannot be written down."""

    tries = USELESS_TRIES

    def __init__(self, message: str) -> None:
        super().__init__("bad_answer", message)


class RetryableError(Exception):
    """A failure that may pass.

    `retry_after` is the server's own header, `maybe_gone` says that the server may be down,
    `denied` that it lets nobody in; `max_failures` bounds the failures in a row.
    """

    def __init__(
        self,
        message: str,
        retry_after: str | None = None,
        *,
        maybe_gone: bool = False,
        denied: bool = False,
        max_failures: int | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after, self.max_failures = retry_after, max_failures
        self.maybe_gone, self.denied = maybe_gone, denied


def torn_answer(message: str) -> BadAnswerError:
    """Make the error of an answer that did not arrive complete."""
    return BadAnswerError("bad_answer", message)


def to_one_line(text: object, secrets: Secrets) -> str:
    """Reduce foreign text to one line: short, without secrets, without control characters."""
    line = " ".join(secrets.hide(str(text)).split())
    return printable(line[:MAX_FOREIGN_CHARACTERS])


def error_message(body: object) -> str | None:
    """Find the error message in a body, in any of the forms that servers use.

    >>> error_message({"error": {"message": "CUDA out of memory", "code": 500}})
    'CUDA out of memory'
    """
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        return None
    error = body.get("error") or _error_of_choice(body)
    if isinstance(error, dict) and error.get("error"):  # forwarded by a proxy
        error = error["error"]
    if isinstance(error, str) and error:
        return error
    if isinstance(error, dict) and error:
        return _first_text(error, *_MESSAGE_KEYS) or str(error)
    if error or body.get("object") == "error":
        return _first_text(body, *_MESSAGE_KEYS) or str(error)
    return None if "choices" in body else _first_text(body, "message", "detail")


def _error_of_choice(body: Mapping[str, object]) -> object:
    """Return the error inside the first choice, where proxies put one."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first.get("error") if isinstance(first, dict) else None


_MESSAGE_KEYS = ("message", "detail", "msg", "reason", "type", "code")


def _first_text(body: Mapping[str, object], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := body.get(name), str)), None)
